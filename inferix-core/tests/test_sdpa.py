import pytest
import torch
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.specs import ComponentConfig


def case(*, kv_heads: int = 4) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 5, 4, 8, generator=generator)
    lengths = (3, 1, 6)
    return q, [{n: torch.randn(2, m, kv_heads, 8, generator=generator) for n in "kv"} for m in lengths]


def reference(
    q: torch.Tensor, segments: list[dict[str, torch.Tensor]], scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    k, v = (torch.cat([s[n] for s in segments], dim=1).double() for n in "kv")
    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], dim=2) for x in (k, v))
    scores = torch.einsum("bnhd,bmhd->bhnm", q.double(), k) * scale
    return torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), v), scores.logsumexp(-1).transpose(1, 2)


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("want_lse", [False, True])
def test_segments_are_attended_as_one(kv_heads: int, want_lse: bool) -> None:
    q, segments = case(kv_heads=kv_heads)
    out, lse = SdpaBackend(ComponentConfig()).attend(q, segments, scale=0.3, want_lse=want_lse)
    expected, expected_lse = reference(q, segments, 0.3)
    torch.testing.assert_close(out, expected.float(), atol=2e-6, rtol=1e-5)
    assert (lse is not None) == want_lse
    if lse is not None:
        assert lse.dtype == torch.float32
        torch.testing.assert_close(lse, expected_lse.float(), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("shift", [1, 3, 16])
def test_where_keys_lie_changes_no_bit(shift: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(1, 33, 3, 20, generator=generator)
    memory = torch.randn(2, 77 * 60 + shift, generator=generator)
    k, v = (values[shift:].view(1, 77, 3, 20) for values in memory)
    backend = SdpaBackend(ComponentConfig())
    there, _ = backend.attend(q, [{"k": k, "v": v}], scale=0.3)
    cut, _ = backend.attend(q, [{"k": k[:, :5], "v": v[:, :5]}, {"k": k[:, 5:], "v": v[:, 5:]}], scale=0.3)
    assert torch.equal(there, cut)
