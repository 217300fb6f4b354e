"""The backend over flash-attn's function: a stand-in where that cannot run, which is as strict as it is."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from inferix_attention.flash import FlashBackend
from inferix_core.contracts.attention import AttentionBackend
from inferix_core.errors import UnsupportedError
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import AttentionSuite
from torch import Tensor


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    *,
    return_attn_probs: bool = False,
) -> Tensor | tuple[Tensor, Tensor, None]:
    """As flash-attn 2.8 says of itself: `[B, N, H, D]` in half precision, the log-sum-exp as `[B, H, N]`."""
    assert q.dtype in (torch.float16, torch.bfloat16)
    assert q.dtype == k.dtype == v.dtype
    assert all(x.stride(-1) == 1 for x in (q, k, v))
    assert softmax_scale is not None
    assert not causal
    k, v = (x.float().repeat_interleave(q.shape[2] // x.shape[2], dim=2) for x in (k, v))
    scores = torch.einsum("bnhd,bmhd->bhnm", q.float(), k) * softmax_scale
    out = torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), v).to(q.dtype)
    return (out, scores.logsumexp(-1), None) if return_attn_probs else out


@pytest.fixture
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("flash_attn")
    module.flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module)


@pytest.mark.usefixtures("_stand_in")
class TestFlashOverAStandIn(AttentionSuite):
    dtype = torch.bfloat16
    tolerance = 2e-2

    def backend(self) -> AttentionBackend:
        return FlashBackend(ComponentConfig())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="flash-attn runs on CUDA alone")
class TestFlash(AttentionSuite):
    dtype = torch.bfloat16
    device = "cuda"
    tolerance = 2e-2

    def backend(self) -> AttentionBackend:
        pytest.importorskip("flash_attn")
        return FlashBackend(ComponentConfig())


def case(num_tokens: int = 4) -> tuple[Tensor, list[dict[str, Tensor]]]:
    x = torch.ones(1, num_tokens, 2, 8, dtype=torch.bfloat16)
    return x, [{"k": x, "v": x}]


def test_without_flash_attn_the_probe_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", None)  # importing it raises
    probe = FlashBackend(ComponentConfig()).probe(device="cuda", dtype="bfloat16", head_dim=128)
    assert not probe.usable
    assert "--no-build-isolation 'inferix-attention[flash]'" in probe.why_not
    with pytest.raises(UnsupportedError, match="cannot be imported"):
        FlashBackend(ComponentConfig()).attend(*case(), scale=1.0)


def test_a_build_that_breaks_on_import_is_told_of_and_raises_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "flash_attn.py").write_text("raise OSError('undefined symbol: _ZN3c10')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    assert (
        "undefined symbol" in FlashBackend(ComponentConfig()).probe(device="cuda", dtype="bfloat16", head_dim=8).why_not
    )


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize(
    ("device", "dtype", "head_dim", "told"),
    [
        ("cuda", "float32", 128, "float16 or bfloat16"),
        ("cuda", "bfloat16", 320, "256"),
        ("cpu", "bfloat16", 128, "CUDA, not on cpu"),
    ],
)
def test_what_kernels_cannot_take_is_named(device: str, dtype: str, head_dim: int, told: str) -> None:
    probe = FlashBackend(ComponentConfig()).probe(device=device, dtype=dtype, head_dim=head_dim)
    assert not probe.usable
    assert told in probe.why_not


def test_discovering_the_plugin_does_not_import_flash_attn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    from inferix_core.catalog import Catalog
    from inferix_core.specs import Kind

    names = [one.name for one in Catalog.discover().components(Kind.ATTENTION)]
    assert "flash" in names
    assert "flash_attn" not in sys.modules
