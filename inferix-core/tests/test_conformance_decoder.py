"""Every rule of the decoder suite is broken by one decoder that keeps all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.contracts.decoder import Columns
from inferix_core.plan import Geometry
from inferix_core.testing.suites import DecoderSuite, broken_rules, rules_of
from inferix_core.testing.toys import ToyAutoencoder, ToyDecoder, ToyModel
from torch import Tensor

Result = tuple[Tensor, Any]


class FourAtOnce(ToyDecoder):
    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents, state)
        return (frames if state is not None else torch.cat([frames[:1].expand(3, -1, -1, -1), frames])), new_state


class ForgetsAtCuts(ToyDecoder):
    def decode(self, latents: Tensor, state: Any) -> Result:
        return super().decode(latents, state if state is None else torch.zeros_like(state))


class SpendsItsState(ToyDecoder):
    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents, state)
        if state is not None:
            state.zero_()
        return frames, new_state.clone()


class SpoilsLatents(ToyDecoder):
    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents.clone(), state)
        latents.zero_()
        return frames, new_state


class RemembersItself(ToyDecoder):
    last: Any = None

    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents, None if state is None else self.last)
        self.last = new_state
        return frames, new_state


class NotClamped(ToyDecoder):
    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents, state)
        return frames * 1.5, new_state


class Grey(ToyDecoder):
    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents, state)
        return torch.zeros_like(frames), new_state


class State:
    """A tensor in an object, which no file holds."""

    def __init__(self, latent: Tensor) -> None:
        self.latent = latent


class WrapsItsState(ToyDecoder):
    def decode(self, latents: Tensor, state: State | None) -> Result:
        frames, new_state = super().decode(latents, None if state is None else state.latent)
        return frames, State(new_state)


class KnowsItsStates(ToyDecoder):
    """Hands out states by which it finds again what it really carries on."""

    def __init__(self) -> None:
        self.known: list[tuple[Tensor, Tensor]] = []

    def decode(self, latents: Tensor, state: Any) -> Result:
        carried = next((carried for handed_out, carried in self.known if handed_out is state), state)
        frames, new_state = super().decode(latents, carried)
        self.known.append((torch.zeros_like(new_state), new_state))
        return frames, self.known[-1][0]


class LatentForEveryFrame(ToyAutoencoder):
    def encode(self, frames: Tensor, state: Any) -> Result:
        parts = [super(LatentForEveryFrame, self).encode(frame, None)[0] for frame in frames.split(1)]
        return torch.cat(parts), None


class EncodesPieces(ToyAutoencoder):
    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, new_state = super().encode(frames, state)
        return latents + 0.01 * frames.shape[0], new_state


class SpendsEncoderStates(ToyAutoencoder):
    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, new_state = super().encode(frames, state)
        new_state = {name: value.clone() for name, value in new_state.items()}
        if state is not None:
            state["last"].zero_()
        return latents, new_state


class SpoilsFrames(ToyAutoencoder):
    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, new_state = super().encode(frames.clone(), state)
        frames.zero_()
        return latents, new_state


class RemembersFrames(ToyAutoencoder):
    last: Any = None

    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, self.last = super().encode(frames, None if state is None else self.last)
        return latents, self.last


class WholeNumbers(ToyAutoencoder):
    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, new_state = super().encode(frames, state)
        return (latents * 1000).int(), new_state


class Blind(ToyAutoencoder):
    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, new_state = super().encode(frames, state)
        return torch.ones_like(latents), new_state


class Smears(ToyDecoder):
    """Mixes each column of the frames with those beside it, asking other ranks for theirs."""

    def decode(self, latents: Tensor, state: Any) -> Result:
        frames, new_state = super().decode(latents, state)
        return smeared(torch.nn.functional.pad(frames, (1, 1))), new_state

    def decode_columns(self, latents: Tensor, state: Any, *, columns: Columns) -> Result:
        frames, new_state = super().decode(latents, state)
        return smeared(columns.widened(frames)), new_state


def smeared(widened: Tensor) -> Tensor:
    return (widened[..., :-2] + widened[..., 1:-1] + widened[..., 2:]) / 3


class KeepsToItself(Smears):
    def decode_columns(self, latents: Tensor, state: Any, *, columns: Columns) -> Result:
        return self.decode(latents, state)


class TurnsItsStateRound(Smears):
    """Carries columns on from the last to the first."""

    def decode_columns(self, latents: Tensor, state: Any, *, columns: Columns) -> Result:
        frames, new_state = super().decode_columns(latents, None if state is None else state.flip(-1), columns=columns)
        return frames, new_state.flip(-1)


BROKEN: dict[str, type[ToyDecoder]] = {
    "test_a_stream_has_the_frames_that_the_geometry_says": FourAtOnce,
    "test_a_stream_has_the_same_frames_wherever_it_is_cut": ForgetsAtCuts,
    "test_a_state_is_never_modified": SpendsItsState,
    "test_a_state_that_was_saved_gives_the_same_frames": WrapsItsState,
    "test_latents_stay_as_they_are": SpoilsLatents,
    "test_streams_that_take_turns_do_not_mix": RemembersItself,
    "test_frames_are_floats_from_minus_one_to_one": NotClamped,
    "test_the_latents_matter": Grey,
    "test_an_encoded_stream_has_the_latents_that_the_geometry_says": LatentForEveryFrame,
    "test_an_encoded_stream_has_the_same_latents_wherever_it_is_cut": EncodesPieces,
    "test_a_state_of_the_encoder_is_never_modified": SpendsEncoderStates,
    "test_frames_that_are_encoded_stay_as_they_are": SpoilsFrames,
    "test_encoded_streams_that_take_turns_do_not_mix": RemembersFrames,
    "test_encoded_latents_are_finite_floats": WholeNumbers,
    "test_the_frames_that_are_encoded_matter": Blind,
    "test_columns_put_together_are_the_frames_of_the_whole": KeepsToItself,
    "test_states_of_columns_are_put_together_and_cut": TurnsItsStateRound,
}


class TestToyAutoencoder(DecoderSuite):
    provides = frozenset({"encode"})

    def decoder(self) -> ToyAutoencoder:
        return ToyAutoencoder()

    def geometry(self) -> Geometry:
        return ToyModel().geometry


class TestToyDecoder(DecoderSuite):
    def decoder(self) -> ToyDecoder:
        return ToyDecoder()

    def geometry(self) -> Geometry:
        return ToyModel().geometry


class TestSmears(TestToyDecoder):
    provides = frozenset({"split-width"})

    def decoder(self) -> Smears:
        return Smears()


class Pairs(ToyDecoder):
    """Mixes the latents of a call two by two, as far as they go."""

    def decode(self, latents: Tensor, state: Any) -> Result:
        return super().decode(in_pairs(latents), state)


class PairsBothWays(ToyAutoencoder):
    """The same, and mixes the latents that it makes of frames."""

    def decode(self, latents: Tensor, state: Any) -> Result:
        return super().decode(in_pairs(latents), state)

    def encode(self, frames: Tensor, state: Any) -> Result:
        latents, new_state = super().encode(frames, state)
        return in_pairs(latents), new_state


def in_pairs(latents: Tensor) -> Tensor:
    return torch.cat([pair.mean(0, keepdim=True).expand_as(pair) for pair in torch.split(latents, 2)])


class TestDecoderOfPairs(TestToyDecoder):
    group = 2

    def decoder(self) -> ToyDecoder:
        return Pairs()


class TestAutoencoderOfPairs(TestToyAutoencoder):
    group = 2

    def decoder(self) -> ToyAutoencoder:
        return PairsBothWays()


def broken(decoder: ToyDecoder, folder: Path, *, group_size: int = 1) -> list[str]:
    offered = {"encode": ToyAutoencoder, "split-width": Smears}
    abilities = frozenset(name for name, base in offered.items() if isinstance(decoder, base))

    class Cases(DecoderSuite):
        group = group_size
        provides = abilities

        def decoder(self) -> ToyDecoder:
            return decoder

        def geometry(self) -> Geometry:
            return ToyModel().geometry

    return broken_rules(Cases(), folder)


@pytest.mark.parametrize("name", rules_of(DecoderSuite))
def test_the_decoder_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    assert broken(BROKEN[name](), tmp_path) == [name]


def test_a_state_that_only_its_decoder_can_read_is_found_out(tmp_path: Path) -> None:
    assert broken(KnowsItsStates(), tmp_path) == ["test_a_state_that_was_saved_gives_the_same_frames"]


def test_a_decoder_of_groups_is_found_out_where_it_does_not_say_so_or_carries_nothing_on(tmp_path: Path) -> None:
    rule = "test_a_stream_has_the_same_frames_wherever_it_is_cut"
    assert broken(Pairs(), tmp_path) == [rule]
    assert broken(ForgetsAtCuts(), tmp_path, group_size=2) == [rule]
    of_frames = "test_an_encoded_stream_has_the_same_latents_wherever_it_is_cut"
    assert {*broken(PairsBothWays(), tmp_path)} == {rule, of_frames}
    assert broken(EncodesPieces(), tmp_path, group_size=2) == [of_frames]
