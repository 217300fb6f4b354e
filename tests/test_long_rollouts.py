"""Worlds far beyond the 21 latents and 81 frames of the originals: without error, without reset, in constant memory."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from inferix_core.runtime.engine import Engine
from inferix_wan.transformer.rotary import GridRotary

NUM_BLOCKS, SIZE = 22, 3
POLICIES = {
    "window": "{ use = 'window', num_window_latents = 9 }",
    "sink and window": "{ use = 'sink-window', num_sink_latents = 3, num_window_latents = 6 }",
}
NUM_HELD = 9


def load(model: str, *overrides: str, policy: str = "sink and window", positions: str = "absolute") -> Engine:
    tiny = ["model.preset=tiny-random", "model.height=32", "model.width=32", "kv.store={ use = 'paged' }"]
    kv = [f"kv.policy={POLICIES[policy]}", f"kv.positions={positions}"]
    return Engine.load(model, overrides=[*tiny, *kv, *overrides])


@pytest.fixture
def rotated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every temporal position that anything is rotated to."""
    found: list[int] = []
    rotate = GridRotary.rotate

    def recording(self: GridRotary, x: torch.Tensor, positions: Sequence[Sequence[int]]) -> torch.Tensor:
        found.extend(position for row in positions for position in row)
        return rotate(self, x, positions)

    monkeypatch.setattr(GridRotary, "rotate", recording)
    return found


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("positions", ["absolute", "window-relative"])
def test_a_world_goes_on_in_constant_memory_and_with_the_right_positions(
    policy: str, positions: str, rotated: list[int]
) -> None:
    engine = load("self-forcing", policy=policy, positions=positions)
    world, num_bytes, held = engine.create_world("a ball", seed=1), [], ()
    decoded = []
    for block in range(NUM_BLOCKS):
        rotated.clear()
        made = world.step()
        decoded.append(made.frames)
        assert len(made.frames) == (9 if block == 0 else 12)
        num_bytes.append(world.num_kv_bytes)
        held = world.state.caches["main"].held
        if positions == "absolute":
            assert set(rotated) == set(made.latents)
        else:
            assert set(rotated) == set(range(min(NUM_HELD, made.latents.stop)))
    assert len(set(num_bytes[2:])) == 1
    end = NUM_BLOCKS * SIZE
    sinks = (0, 1, 2) if policy == "sink and window" else ()
    assert held == (*sinks, *range(end - NUM_HELD + len(sinks), end))
    frames = torch.cat(decoded)
    assert len(frames) == 1 + 4 * (end - 1) > 81
    assert len({bytes(frame.flatten().tolist()) for frame in frames[-48:]}) == 48


def test_the_frames_of_a_long_world_are_one_stream() -> None:
    class Kept:
        def __init__(self, decoder: Any) -> None:
            self.decoder, self.latents = decoder, []

        def decode(self, latents: torch.Tensor, state: Any) -> Any:
            self.latents.append(latents)
            return self.decoder.decode(latents, state)

    engine = load("self-forcing")
    kept = Kept(engine.decoder)
    world = Engine(engine.parts, kept).create_world("a ball", seed=1)  # type: ignore[arg-type]
    frames = torch.cat([world.step().frames for _ in range(NUM_BLOCKS)])
    whole, _ = engine.decoder.decode(torch.cat(kept.latents), None)
    whole = (whole.float() * 0.5 + 0.5).mul(255).round().movedim(1, -1)
    assert (frames.float() - whole).abs().max() <= 1


def test_a_sink_and_window_lets_go_of_what_lies_between() -> None:
    """What the first block of a run far behind shows depends on the sink and on the window."""
    frames = {}
    for policy in POLICIES:
        world = load("self-forcing", policy=policy).create_world("a ball", seed=1)
        frames[policy] = [world.step().frames for _ in range(6)]
    same = [torch.equal(*pair) for pair in zip(*frames.values(), strict=True)]
    assert same == [True, True, True, False, False, False]


@pytest.mark.parametrize("planner", ["causvid", "causvid-overlap"])
def test_rollouts_of_causvid_follow_one_another_without_end(planner: str, rotated: list[int]) -> None:
    whole_rollout = "kv.policy={ use = 'window', num_window_latents = 21 }"
    engine = load("causvid", f"planner={{ use = '{planner}' }}", whole_rollout)
    world = engine.create_world("a ball", seed=1)
    num_frames = 0
    for _ in range(NUM_BLOCKS):
        num_frames += len(world.step().frames)
        assert len(world.state.caches["main"].held) <= 21
    assert max(rotated) == 20
    assert num_frames == 1 + 4 * (NUM_BLOCKS * SIZE - 1)
