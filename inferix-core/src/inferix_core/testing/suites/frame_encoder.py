"""The rules of decoders that encode frames too; one that does not provide "encode" is exempt from them.

Letters: T frames, L latents.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from inferix_core.contracts.decoder import Decoder, FrameEncoder
from inferix_core.plan import Geometry
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged

NUM_LATENTS = 3


class DecoderCase(Suite):
    """What a subclass supplies for all rules of decoders."""

    dtype = torch.float32
    tolerance = 1e-5
    """How far frames, and latents, may differ when a stream is cut elsewhere: kernels choose other orders of sums."""
    group = 1
    """Latents that the decoder decodes together, as it documents: streams are cut between groups alone."""

    def decoder(self) -> Decoder:
        """The decoder; it may be the same one every time."""
        raise NotImplementedError("Supply `decoder`: return the decoder that is to be tested.")

    def geometry(self) -> Geometry:
        """What the model makes."""
        raise NotImplementedError("Supply `geometry`: return the geometry that the decoder was built with.")


class FrameEncoderRules(DecoderCase):
    """Streams of frames become streams of latents."""

    @rule
    def test_an_encoded_stream_has_the_latents_that_the_geometry_says(self) -> None:
        if "encode" not in self.provides:
            return
        geometry = self.geometry()
        latents = self._encoded(self._frames(0), self._lengths())
        assert [len(part) for part in latents] == ([1, 1, 0, 1] if self.group == 1 else [self.group] * NUM_LATENTS)
        assert {tuple(part.shape[1:]) for part in latents} == {geometry.latent_shape}

    @rule
    def test_an_encoded_stream_has_the_same_latents_wherever_it_is_cut(self) -> None:
        if "encode" not in self.provides:
            return
        frames = self._frames(0)
        whole = torch.cat(self._encoded(frames, (len(frames),)))
        for lengths in self._cuts(len(frames)):
            found = torch.cat(self._encoded(frames, lengths))
            assert found.shape == whole.shape
            difference = float((found - whole).abs().max())
            assert difference <= self.tolerance, f"cut into {lengths}, latents differ by {difference:.3g}"

    @rule
    def test_a_state_of_the_encoder_is_never_modified(self) -> None:
        if "encode" not in self.provides:
            return
        encoder, frames = self._encoder(), self._frames(0)
        first = self._lengths()[0]
        _, state = encoder.encode(frames[:first], None)
        copies = copies_of(state)
        encoder.encode(frames[first:], state)
        assert is_unchanged(state, copies)

    @rule
    def test_frames_that_are_encoded_stay_as_they_are(self) -> None:
        if "encode" not in self.provides:
            return
        encoder, frames = self._encoder(), self._frames(0)
        copies = copies_of(frames)
        encoder.encode(frames, None)
        assert is_unchanged(frames, copies)

    @rule
    def test_encoded_streams_that_take_turns_do_not_mix(self) -> None:
        if "encode" not in self.provides:
            return
        encoder, streams = self._encoder(), [self._frames(0), self._frames(1)]
        alone = [self._encoded(frames, self._lengths()) for frames in streams]
        states: list[Any] = [None, None]
        pieces = [torch.split(frames, list(self._lengths())) for frames in streams]
        for part in range(len(pieces[0])):
            for place in range(2):
                latents, states[place] = encoder.encode(pieces[place][part].clone(), states[place])
                assert torch.equal(latents, alone[place][part]), "what a stream carries on is its state alone"

    @rule
    def test_encoded_latents_are_finite_floats(self) -> None:
        if "encode" not in self.provides:
            return
        for latents in self._encoded(self._frames(0), self._lengths()):
            assert latents.is_floating_point()
            assert bool(latents.isfinite().all())

    @rule
    def test_the_frames_that_are_encoded_matter(self) -> None:
        if "encode" not in self.provides:
            return
        one, other = (torch.cat(self._encoded(self._frames(seed), self._lengths())) for seed in (0, 1))
        assert all(not torch.equal(*pair) for pair in zip(one, other, strict=True))

    def _encoder(self) -> FrameEncoder:
        return cast("FrameEncoder", self.decoder())

    def _frames(self, seed: int) -> Tensor:
        """The frames of `NUM_LATENTS` groups of latents."""
        geometry = self.geometry()
        shape = (geometry.num_frames(range(NUM_LATENTS * self.group)), 3, geometry.frame_height, geometry.frame_width)
        return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1).to(self.dtype)

    def _lengths(self) -> tuple[int, ...]:
        """A latent, a latent, what does not fill one, and the rest of it; or a group, a group and a group."""
        spans = (range(start, start + self.group) for start in (0, self.group))
        first, later = map(self.geometry().num_frames, spans)
        if self.group > 1:
            return first, later, later
        return (first, later, later - 1, 1) if later > 1 else (first, later, 0, 1)

    def _cuts(self, num_frames: int) -> list[tuple[int, ...]]:
        lengths = self._lengths()
        if self.group > 1:
            return [lengths, (lengths[0], num_frames - lengths[0])]
        return [lengths, (1,) * num_frames, (num_frames - 1, 1)]

    def _encoded(self, frames: Tensor, lengths: tuple[int, ...]) -> list[Tensor]:
        """The latents of each part."""
        encoder, state, latents = self._encoder(), None, []
        for part in torch.split(frames, list(lengths)):
            made, state = encoder.encode(part.clone(), state)
            latents.append(made)
        return latents
