"""The attention backend that is always there: torch's scaled dot-product attention.

Letters: B batch, N query tokens, M key tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from inferix_core.contracts.attention import Probe, Segment
from inferix_core.specs import ComponentConfig

_ALIGNMENT = 64
"""Bytes: the widest vectors of a CPU. Fresh tensors lie at a multiple of it, and so do most pages."""


class SdpaBackend:
    """Runs on every device and dtype that torch has a kernel for; several segments are concatenated."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config

    def probe(self, *, device: str, dtype: str, head_dim: int) -> Probe:
        """Always usable: torch falls back to plain matrix products."""
        return Probe(usable=True)

    def attend(
        self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """See `AttentionBackend.attend`."""
        queries = q.transpose(1, 2)
        keys = _joined(segments, "k").transpose(1, 2)
        values = _joined(segments, "v").transpose(1, 2)
        grouped = keys.shape[1] != queries.shape[1]
        if not want_lse:
            result = functional.scaled_dot_product_attention(queries, keys, values, scale=scale, enable_gqa=grouped)
            return result.transpose(1, 2), None
        if grouped:
            repeats = queries.shape[1] // keys.shape[1]
            keys, values = (x.repeat_interleave(repeats, dim=1) for x in (keys, values))
        result, lse = _attention_with_lse(queries, keys, values, scale=scale)
        return result.transpose(1, 2), lse.transpose(1, 2)


def _joined(segments: Sequence[Segment], name: str) -> Tensor:
    """All tokens in one tensor, which lies as a fresh one does: where it lies changes the last bits of products."""
    if len(segments) > 1:
        return torch.cat([segment[name] for segment in segments], dim=1)
    whole = segments[0][name]
    return whole if whole.data_ptr() % _ALIGNMENT == 0 else whole.clone()


def _attention_with_lse(q: Tensor, k: Tensor, v: Tensor, *, scale: float) -> tuple[Tensor, Tensor]:
    """Result `[B, H, N, D]` and float32 natural log-sum-exp `[B, H, N]` of `[B, H, *, D]` tensors.

    By torch's own kernels where there is one that says it, else in plain products.
    """
    kernels = torch.ops.aten
    if q.shape[-1] != v.shape[-1]:
        return _in_plain_products(q, k, v, scale=scale)
    if q.device.type == "cpu":
        result, lse = kernels._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, False, scale=scale)
        return result, lse.float()
    if q.device.type == "cuda" and q.shape[-1] % 8 == 0 and q.dtype in (torch.float16, torch.bfloat16):
        result, lse, *_ = kernels._scaled_dot_product_flash_attention(q, k, v, 0.0, False, False, scale=scale)
        return result, lse.float()
    return _in_plain_products(q, k, v, scale=scale)


def _in_plain_products(q: Tensor, k: Tensor, v: Tensor, *, scale: float) -> tuple[Tensor, Tensor]:
    """The same, in float32 inside, with a score for every pair in memory."""
    scores = torch.matmul(q.float(), k.float().transpose(-1, -2)) * scale
    lse = torch.logsumexp(scores, dim=-1)
    result = torch.matmul(torch.exp(scores - lse.unsqueeze(-1)), v.float())
    return result.to(q.dtype), lse
