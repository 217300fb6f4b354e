"""Transformer blocks through `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from inferix_core.contracts.model import Layer, LayerContext, Rotary
from torch import Tensor


def compiled_layer(layer: Layer) -> Layer:
    """The layer with what lies between its attentions compiled, for any number of tokens.

    Attention runs as it is: what a context does depends on the pass, and would be compiled anew for each of them.
    Blocks of one shape share what was compiled. Nothing is compiled before the first call, which needs a C++ compiler
    on a CPU and Triton on CUDA.
    """
    compiled: Any = torch.compile(layer, dynamic=None)

    def run(state: Any, context: LayerContext) -> Any:
        return compiled(state, _Uncompiled(context))

    return run


class _Uncompiled:
    """A `LayerContext` that compilers do not look into."""

    def __init__(self, context: LayerContext) -> None:
        self._context = context

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        """See `LayerContext.attend`."""
        return self._context.attend(q, k, v, rotary=rotary)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """See `LayerContext.attend_conditions`."""
        return self._context.attend_conditions(q, parts, project)
