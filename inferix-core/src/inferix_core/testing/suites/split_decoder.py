"""The rules of decoders that make some columns of the frames; one that does not provide "split-width" is exempt.

Letters: L latents, C channels, h, w latent height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from inferix_core.contracts.decoder import Decoder, SplitDecoder
from inferix_core.contracts.parallel import Ranks, parts_of
from inferix_core.runtime.columns import RankColumns
from inferix_core.runtime.split_decoding import ColumnDecoding
from inferix_core.testing.ranks import on_ranks
from inferix_core.testing.suites.base import rule
from inferix_core.testing.suites.frame_encoder import DecoderCase

NUM_RANKS = 2
LENGTHS = (2, 2, 1)
"""Groups of latents in each call."""


class SplitDecoderRules(DecoderCase):
    """Run on two forked processes of this machine over gloo, each with half of the columns."""

    columns_tolerance = 1e-4
    """How far frames of columns that were put together may be from those of the whole: sums have other orders."""

    @rule
    def test_columns_put_together_are_the_frames_of_the_whole(self) -> None:
        if "split-width" not in self.provides:
            return
        calls = self._calls()
        whole, _ = self._by_the_whole(calls, None)
        found, *others = on_ranks(NUM_RANKS, self._by_columns, calls)
        self._check_same(found, whole)
        assert not any(others), "the first rank alone has frames"

    @rule
    def test_states_of_columns_are_put_together_and_cut(self) -> None:
        if "split-width" not in self.provides:
            return
        calls = self._calls()
        _, state = self._by_the_whole(calls[:1], None)
        (by_columns, gathered, cut), *_ = on_ranks(NUM_RANKS, self._with_states, calls, state)
        self._check_same(self._by_the_whole(calls[1:], gathered)[0], self._by_the_whole(calls, None)[0][1:])
        self._check_same(cut, by_columns[1:])

    def _calls(self) -> Sequence[Tensor]:
        """The latents `[L, C, h, w]` of each call."""
        lengths = [length * self.group for length in LENGTHS]
        shape = (sum(lengths), *self.geometry().latent_shape)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.dtype)
        return torch.split(latents, lengths)

    def _by_the_whole(self, calls: Sequence[Tensor], state: Any) -> tuple[list[Tensor], Any]:
        return _decoded(self.decoder(), calls, state)

    def _by_columns(self, ranks: Ranks, calls: Sequence[Tensor]) -> list[Tensor]:
        """The frames of each call on the first rank, nothing on the others."""
        frames, _ = _decoded(self._split(ranks), calls, None)
        return frames if ranks.rank == 0 else [made for made in frames if made.numel() > 0]

    def _with_states(self, ranks: Ranks, calls: Sequence[Tensor], whole: Any) -> tuple[list[Tensor], Any, list[Tensor]]:
        """The frames of each call, the whole state after the first, and the frames that follow the state `whole`."""
        decoding = self._split(ranks)
        first, state = _decoded(decoding, calls[:1], None)
        gathered = decoding.whole_state(state)
        rest, _ = _decoded(decoding, calls[1:], state)
        cut, _ = _decoded(decoding, calls[1:], decoding.own_state(whole))
        return [*first, *rest], gathered, cut

    def _split(self, ranks: Ranks) -> ColumnDecoding:
        parts = parts_of(self.geometry().latent_shape[2], ranks.num_ranks, what="columns of a latent")
        columns = RankColumns(parts, rank=ranks.rank)
        return ColumnDecoding(cast("SplitDecoder", self.decoder()), columns, rank=ranks.rank)

    def _check_same(self, found: Sequence[Tensor], whole: Sequence[Tensor]) -> None:
        for call, (one, other) in enumerate(zip(found, whole, strict=True)):
            assert one.shape == other.shape
            difference = float((one - other).abs().max())
            assert difference <= self.columns_tolerance, f"in call {call} frames differ by {difference:.3g}"


def _decoded(decoder: Decoder, calls: Sequence[Tensor], state: Any) -> tuple[list[Tensor], Any]:
    """The frames of each call, and the state after all."""
    frames = []
    for latents in calls:
        made, state = decoder.decode(latents.clone(), state)
        frames.append(made)
    return frames, state
