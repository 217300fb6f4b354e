"""Attention by flash-attn's kernels (arXiv 2307.08691), where they are installed.

Letters: B batch, N query tokens, M key tokens, H heads, D head dim.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from inferix_core.contracts.attention import Probe, Segment
from inferix_core.errors import UnsupportedError
from inferix_core.specs import ComponentConfig
from torch import Tensor

_DTYPES = ("float16", "bfloat16")
_WIDEST_HEAD = 256
_OLDEST_CAPABILITY = (8, 0)
_HOW = "pip install --no-build-isolation 'inferix-attention[flash]'"

Kernel = Callable[..., Any]


class FlashBackend:
    """Implements `AttentionBackend` on CUDA. flash-attn is imported when it is first asked for."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config

    def probe(self, *, device: str, dtype: str, head_dim: int) -> Probe:
        """See `AttentionBackend.probe`; the device is asked for its capability where it is CUDA's."""
        if isinstance(self._found, str):
            return Probe(usable=False, why_not=self._found)
        if dtype not in _DTYPES:
            return Probe(usable=False, why_not=f"flash-attn computes in float16 or bfloat16, not in {dtype}")
        if not 0 < head_dim <= _WIDEST_HEAD:
            return Probe(usable=False, why_not=f"flash-attn takes heads up to {_WIDEST_HEAD} wide, not {head_dim}")
        if why_not := _why_not_device(device):
            return Probe(usable=False, why_not=why_not)
        return Probe(usable=True)

    def attend(
        self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """See `AttentionBackend.attend`. Raises `UnsupportedError` where flash-attn cannot be imported."""
        kernel = self._found
        if isinstance(kernel, str):
            raise UnsupportedError(f"attention.use = 'flash' was asked for, but {kernel}.")
        keys, values = (_joined(segments, name) for name in ("k", "v"))
        found = kernel(_dense(q), keys, values, softmax_scale=scale, causal=False, return_attn_probs=want_lse)
        if not want_lse:
            return found, None
        out, lse, *_ = found
        return out, lse.transpose(1, 2).float()  # it comes as [B, H, N]

    @cached_property
    def _found(self) -> Kernel | str:
        """flash-attn's function, or why there is none."""
        try:
            kernel: Kernel = importlib.import_module("flash_attn").flash_attn_func
        except Exception as error:  # a build for another torch raises whatever the loader does
            return f"flash-attn cannot be imported ({type(error).__name__}: {error}); try: {_HOW}"
        return kernel


def _why_not_device(device: str) -> str:
    """Why kernels cannot run on a device; "" where they can."""
    kind = device.partition(":")[0]
    if kind != "cuda":
        return f"flash-attn runs on CUDA, not on {device}"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device here"
    try:
        capability = torch.cuda.get_device_capability(device)
    except Exception as error:  # a probe never raises
        return f"{device} cannot be asked what it is: {error}"
    if capability < _OLDEST_CAPABILITY:
        return f"{device} has compute capability {capability[0]}.{capability[1]}, and flash-attn needs 8.0"
    return ""


def _joined(segments: Sequence[Segment], name: str) -> Tensor:
    """All tokens in one tensor [B, M, H, D]."""
    whole = segments[0][name] if len(segments) == 1 else torch.cat([segment[name] for segment in segments], dim=1)
    return _dense(whole)


def _dense(x: Tensor) -> Tensor:
    """The tensor with the values of a head side by side, as kernels read them."""
    return x if x.stride(-1) == 1 else x.contiguous()
