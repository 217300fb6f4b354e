import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.specs import ComponentConfig
from inferix_parallel.merging import merged

BACKEND = SdpaBackend(ComponentConfig())


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=5), peak=st.sampled_from([1.0, 60.0]), seed=st.integers(0, 99)
)
def test_attention_over_parts_makes_attention_over_all(cuts: list[int], peak: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = peak * torch.randn(1, 5, 2, 8, generator=generator)
    parts = [{name: torch.randn(1, length, 2, 8, generator=generator) for name in "kv"} for length in cuts]
    expected, _ = BACKEND.attend(q, parts, scale=0.3)
    partials = [BACKEND.attend(q, [part], scale=0.3, want_lse=True) for part in parts]
    found = merged([(out, lse) for out, lse in partials if lse is not None])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_bfloat16_is_put_together_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(1, 16, 2, 32, generator=generator)
    parts = [{name: torch.randn(1, 24, 2, 32, generator=generator) for name in "kv"} for _ in range(8)]
    exact, _ = BACKEND.attend(q, parts, scale=0.2)
    low = [{name: x.bfloat16() for name, x in part.items()} for part in parts]
    partials = [BACKEND.attend(q.bfloat16(), [part], scale=0.2, want_lse=True) for part in low]
    found = merged([(out, lse) for out, lse in partials if lse is not None])
    plain, _ = BACKEND.attend(q.bfloat16(), low, scale=0.2)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().max() < 2.0 * (plain.float() - exact).abs().max()
