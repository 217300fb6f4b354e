"""Attention backends: kernels that attend from queries to a list of key/value segments.

Letters: B batch, N query tokens, M key tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Segment = Mapping[str, "Tensor"]
"""A contiguous run of tokens in ascending latent order: field name to `[B, M, ...]`, views where possible."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a backend can serve a case, and if not, why not."""

    usable: bool
    why_not: str = ""


class AttentionBackend(Protocol):
    """A kernel. Built as `implementation(config)`."""

    def probe(self, *, device: str, dtype: str, head_dim: int) -> Probe:
        """Whether this backend runs here; never raises."""

    def attend(
        self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Softmax attention of `q` `[B, N, H, D]` over the segments' `k` and `v` `[B, M, H, D]` taken as one.

        Returns the result `[B, N, H, D]` in q's dtype and, where asked, the natural-log
        log-sum-exp `[B, N, H]` in float32. At least one segment holds at least one token.
        """
