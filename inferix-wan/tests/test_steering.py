"""A new prompt changes what attention reads from the next block on; recached, the old one leaves no trace."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from inferix_core.contracts.attention import AttentionBackend, Segment
from inferix_core.errors import SignalError
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from torch import Tensor

CAUSAL = ["self-forcing", "self-forcing-diffusion", "causvid"]
RED, BLUE = "a red ball", "a blue box"
TEXT_LEN = 8


class Recorder:
    """A backend that writes down the keys and values of text that cross-attention reads, and attends with another."""

    def __init__(self, backend: AttentionBackend) -> None:
        self._backend = backend
        self.texts: list[tuple[Tensor, Tensor]] = []

    def attend(
        self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """See `AttentionBackend.attend`."""
        if segments[0]["k"].shape[1] == TEXT_LEN:
            self.texts.append((segments[0]["k"], segments[0]["v"]))
        return self._backend.attend(q, segments, scale=scale, want_lse=want_lse)

    def taken(self) -> list[tuple[Tensor, Tensor]]:
        """What was read since the last call."""
        taken, self.texts = self.texts, []
        return taken


def engine(name: str, **settings: Any) -> Engine:
    """The preset `tiny-random` in float32, in the smallest frames."""
    model = {"preset": "tiny-random", "height": 32, "width": 48}
    return Engine.load(name, config={"model": model, "dtype": "float32", "device": "cpu", "num_threads": 1, **settings})


def recording(loaded: Engine) -> tuple[Engine, Recorder]:
    recorder = Recorder(loaded.parts.backend)
    return Engine(replace(loaded.parts, backend=recorder), loaded.decoder), recorder  # type: ignore[arg-type]


def same(one: Sequence[tuple[Tensor, Tensor]], other: Sequence[tuple[Tensor, Tensor]]) -> list[bool]:
    pairs = zip(one, other, strict=True)
    return [torch.equal(keys, k) and torch.equal(values, v) for (keys, values), (k, v) in pairs]


def pages(world: World, latents: range) -> dict[tuple[str, int, str], Tensor]:
    """Keys and values of each cache and layer."""
    layers = range(world.engine.parts.model.layout.num_layers)
    return {
        (name, layer, field): torch.cat([segment[field] for segment in cache.segments(layer, [latents])], dim=1)
        for name, cache in world.state.caches.items()
        for layer in layers
        for field in ("k", "v")
    }


@pytest.mark.parametrize("name", CAUSAL)
def test_cross_attention_reads_the_new_prompts_keys_and_values_from_the_next_block_on(name: str) -> None:
    made, recorder = recording(engine(name))
    world, blue = made.create_world(RED, seed=1), made.create_world(BLUE, seed=1)
    red_frames = [world.step().frames for _ in range(2)]
    read_of_red = recorder.taken()
    num_read = len(read_of_red) // 2
    changed = world.step(Signal(prompt=BLUE)).frames
    read_after = recorder.taken()
    blue.step()
    read_of_blue = recorder.taken()
    assert all(same(read_of_red[:num_read], read_of_red[num_read:])), "one prompt, one set of keys and values"
    assert all(same(read_after, read_of_blue))
    is_guided = "diffusion" in name  # half of its passes are under the negative prompt
    assert sum(same(read_after, read_of_red[num_read:])) == (num_read // 2 if is_guided else 0)
    kept = made.create_world(RED, seed=1)
    frames = [kept.step().frames for _ in range(3)]
    assert all(torch.equal(one, other) for one, other in zip(red_frames, frames[:2], strict=True))
    assert not torch.equal(changed, frames[2])


@pytest.mark.parametrize("name", CAUSAL)
def test_recached_pages_are_those_of_a_world_that_had_the_new_prompt_from_the_start(name: str) -> None:
    made = engine(name, kv={"recache": True})
    world = made.create_world(RED, seed=1)
    for _ in range(3):
        world.step()
    latents = range(9)
    clean = torch.stack([world.state.committed[latent] for latent in latents])
    before = pages(world, latents)
    shown = world.step(Signal(prompt=BLUE)).frames
    after = pages(world, latents)
    other = made.create_world(BLUE, seed=1, prefix=clean)
    expected = [other.step().frames for _ in range(4)][-1]
    from_start = pages(other, latents)
    assert after.keys() == from_start.keys()
    assert all(torch.equal(after[place], from_start[place]) for place in after)
    assert torch.equal(shown, expected)
    changed = {place for place in after if not torch.equal(after[place], before[place])}
    num_layers = made.parts.model.layout.num_layers
    read_text = {name for name in world.state.caches if (name, num_layers - 1, "k") in changed}
    assert "main" in read_text, "the pages of layers behind a cross-attention are others"


@pytest.mark.parametrize("name", CAUSAL)
def test_without_recaching_pages_stay_as_they_are(name: str) -> None:
    made = engine(name)
    world = made.create_world(RED, seed=1)
    for _ in range(3):
        world.step()
    before = pages(world, range(9))
    world.step(Signal(prompt=BLUE))
    after = pages(world, range(9))
    assert all(torch.equal(after[place], before[place]) for place in before)


def test_a_new_negative_prompt_reaches_the_next_block_and_holds_and_is_recached() -> None:
    made = engine("self-forcing-diffusion", kv={"recache": True})
    worlds = [made.create_world(RED, seed=1) for _ in range(2)]
    for world in worlds:
        for _ in range(2):
            world.step()
    one, other = worlds
    before = pages(one, range(6))
    changed = one.step(Signal(negative_prompt="a dog")).frames
    assert not torch.equal(changed, other.step().frames)
    after = pages(one, range(6))
    moved = {place[0] for place in after if not torch.equal(after[place], before[place])}
    assert moved == {"null"}
    assert one.state.conditions is not None
    held = one.state.conditions["negative_text"]
    one.step(Signal(prompt=BLUE))
    assert one.state.conditions["negative_text"] is held


@pytest.mark.parametrize("name", ["self-forcing", "causvid"])
def test_a_model_without_guidance_refuses_a_negative_prompt(name: str) -> None:
    made = engine(name)
    world = made.create_world(RED, seed=1)
    with pytest.raises(SignalError, match=f"The model '{name}' is not guided"):
        world.step(Signal(negative_prompt="a dog"))
    bare = Engine(made.parts, made.decoder).create_world(RED, seed=1)
    with pytest.raises(SignalError, match="this model is not guided"):
        bare.step(Signal(negative_prompt="a dog"))
    assert len(world.step().frames) == 9
