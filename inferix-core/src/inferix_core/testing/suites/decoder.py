"""The rules of decoders.

Letters: L latents, T frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from inferix_core.testing.suites.base import rule
from inferix_core.testing.suites.frame_encoder import FrameEncoderRules
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged
from inferix_core.testing.suites.split_decoder import SplitDecoderRules
from inferix_core.worldfile.trees import copy_through_tree

NUM_LATENTS = 5
CUTS = ((1, 4), (2, 3), (4, 1), (1, 1, 1, 1, 1))


class DecoderSuite(FrameEncoderRules, SplitDecoderRules):
    """Supply `decoder` and the `geometry` of the model whose latents it decodes."""

    @rule
    def test_a_stream_has_the_frames_that_the_geometry_says(self) -> None:
        geometry = self.geometry()
        frames = self._decoded(self._latents(0), (2, 3))
        first, second = range(2 * self.group), range(2 * self.group, 5 * self.group)
        assert [len(part) for part in frames] == [geometry.num_frames(first), geometry.num_frames(second)]
        assert {tuple(part.shape[1:]) for part in frames} == {(3, geometry.frame_height, geometry.frame_width)}

    @rule
    def test_a_stream_has_the_same_frames_wherever_it_is_cut(self) -> None:
        latents = self._latents(0)
        whole = torch.cat(self._decoded(latents, (NUM_LATENTS,)))
        for lengths in CUTS:
            found = torch.cat(self._decoded(latents, lengths))
            assert found.shape == whole.shape
            difference = float((found - whole).abs().max())
            assert difference <= self.tolerance, f"cut into {lengths}, frames differ by {difference:.3g}"

    @rule
    def test_a_state_is_never_modified(self) -> None:
        decoder, latents = self.decoder(), self._latents(0)
        _, state = decoder.decode(latents[: 2 * self.group], None)
        copies = copies_of(state)
        decoder.decode(latents[2 * self.group :], state)
        assert is_unchanged(state, copies), "forks and interrupted steps go on from the state that they had"

    @rule
    def test_a_state_that_was_saved_gives_the_same_frames(self) -> None:
        latents, lengths = self._latents(0), (1,) * NUM_LATENTS
        expected = self._decoded(latents, lengths)
        found = self._decoded(latents, lengths, carried_on=copy_through_tree)
        assert all(map(torch.equal, found, expected)), "a stream carries on what its state holds as plain data, no more"

    @rule
    def test_latents_stay_as_they_are(self) -> None:
        decoder, latents = self.decoder(), self._latents(0)
        copies = copies_of(latents)
        _, state = decoder.decode(latents[: 2 * self.group], None)
        decoder.decode(latents[2 * self.group :], state)
        assert is_unchanged(latents, copies)

    @rule
    def test_streams_that_take_turns_do_not_mix(self) -> None:
        decoder, streams = self.decoder(), [self._latents(0), self._latents(1)]
        alone = [self._decoded(latents, (2, 3)) for latents in streams]
        states: list[Any] = [None, None]
        for part, span in enumerate((slice(2 * self.group), slice(2 * self.group, None))):
            for place, latents in enumerate(streams):
                frames, states[place] = decoder.decode(latents[span].clone(), states[place])
                assert torch.equal(frames, alone[place][part]), "what a stream carries on is its state alone"

    @rule
    def test_frames_are_floats_from_minus_one_to_one(self) -> None:
        for frames in self._decoded(self._latents(0) * 30, (2, 3)):
            assert frames.is_floating_point()
            assert bool(frames.isfinite().all())
            assert float(frames.abs().max()) <= 1.0

    @rule
    def test_the_latents_matter(self) -> None:
        one, other = (self._decoded(self._latents(seed), (NUM_LATENTS,))[0] for seed in (0, 1))
        assert not torch.equal(one, other)

    def _latents(self, seed: int) -> Tensor:
        shape = (NUM_LATENTS * self.group, *self.geometry().latent_shape)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.dtype)

    def _decoded(
        self, latents: Tensor, lengths: tuple[int, ...], *, carried_on: Callable[[Any], Any] = lambda state: state
    ) -> list[Tensor]:
        """The frames of each part, of `lengths` groups; `carried_on` gives what the next call is told of a state."""
        decoder, state, frames = self.decoder(), None, []
        for part in torch.split(latents, [length * self.group for length in lengths]):
            made, new_state = decoder.decode(part.clone(), state)
            state = carried_on(new_state)
            frames.append(made)
        return frames
