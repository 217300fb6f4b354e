"""What this package brings, declared without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec


@hookimpl
def inferix_attention_backends() -> Iterable[Spec]:
    """Kernels that are compiled for the device."""
    yield Spec(
        name="flash",
        summary="flash-attn's kernels: CUDA, float16 or bfloat16; needs the extra inferix-attention[flash].",
        implementation="inferix_attention.flash:FlashBackend",
    )
