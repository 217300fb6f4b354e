"""The physics of the world holds, for hours."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from inferix_tinyworld.rendering import render
from inferix_tinyworld.scene import FLOOR_Y, SKIES, Scene, all_scenes
from inferix_tinyworld.simulator import MAX_HEIGHT, WALLS, Simulator


def scene(behaviour: str) -> Scene:
    return Scene("red", "ball", behaviour, "day")


def tracks(simulator: Simulator, num_blocks: int, actions=None):
    parts = [simulator.advance(actions if block == 0 else None) for block in range(num_blocks)]
    return tuple(np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("x", "y", "vx", "vy"))


def test_the_first_block_has_9_frames_and_later_ones_12():
    simulator = Simulator([scene("rolls")] * 2, seed=0)
    assert simulator.advance().x.shape == (2, 9)
    assert simulator.advance().x.shape == (2, 12)


def test_the_same_seed_makes_the_same_world():
    first, second = (Simulator(all_scenes(), seed=4) for _ in range(2))
    for _ in range(3):
        assert np.array_equal(first.advance().x, second.advance().x)


def test_a_bouncing_object_reaches_the_same_height_after_minutes():
    simulator = Simulator([scene("bounces")] * 4, seed=1)
    simulator.advance()
    late = simulator.advance_frames(16 * 300, is_start=False)
    apex = [FLOOR_Y - late.y[:, part].min(axis=1) for part in (slice(0, 40), slice(-40, None))]
    assert np.allclose(apex[0], apex[1], atol=0.6)
    assert np.all(np.stack(apex) > 45)
    assert late.y.max() <= FLOOR_Y + 1e-9


def test_objects_stay_between_walls_floor_and_ceiling_whatever_is_done_to_them():
    simulator = Simulator(all_scenes(), seed=2)
    rng = np.random.default_rng(0)
    for _ in range(30):
        track = simulator.advance(rng.choice(["none", "left", "right", "jump"], len(simulator.scenes)).tolist())
        assert track.x.min() >= WALLS[0] - 1e-9
        assert track.x.max() <= WALLS[1] + 1e-9
        assert track.y.min() >= FLOOR_Y - MAX_HEIGHT - 1e-9
        assert track.y.max() <= FLOOR_Y + 1e-9


def test_a_rolling_object_stays_on_the_ground_and_never_stops():
    _, y, vx, _ = tracks(Simulator([scene("rolls")] * 8, seed=3), 40)
    assert np.all(y == FLOOR_Y)
    assert np.all(np.abs(vx) > 1.5)


def test_a_resting_object_stays_where_it_is():
    x, y, _, _ = tracks(Simulator([scene("rests")] * 8, seed=3), 10)
    assert np.ptp(x, axis=1).max() < 1e-9
    assert np.all(y == FLOOR_Y)


def test_a_resting_object_told_to_roll_sets_off_for_the_farther_wall():
    simulator = Simulator([scene("rests")] * 8, seed=3)
    before = simulator.advance().x[:, -1]
    simulator.change_scenes([scene("rolls")] * 8)
    after = simulator.advance().x[:, -1]
    assert np.array_equal(np.sign(after - before), np.where(before < 64, 1.0, -1.0))
    assert np.all(np.abs(after - before) > 5)


@pytest.mark.parametrize("behaviour", ["rolls", "bounces", "rests"])
@pytest.mark.parametrize(("action", "sign"), [("left", -1.0), ("right", 1.0)])
def test_a_push_moves_the_object_that_way_within_a_block(behaviour, action, sign):
    simulator = Simulator([scene(behaviour)] * 64, seed=5)
    start = simulator.advance().x[:, -1]
    track = simulator.advance([action] * 64)
    room = np.where(sign > 0, WALLS[1] - start, start - WALLS[0]) > 50
    assert room.sum() > 10
    assert np.all(((track.x[:, -1] - start) * sign)[room] > 15)


@pytest.mark.parametrize("behaviour", ["rolls", "bounces", "rests"])
def test_a_jump_lifts_the_object_at_once(behaviour):
    simulator = Simulator([scene(behaviour)] * 16, seed=6)
    simulator.advance()
    track = simulator.advance(["jump"] * 16)
    assert np.all(track.y.min(axis=1) < FLOOR_Y - 30)


def test_an_unknown_action_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="none, left, right, jump"):
        Simulator([scene("rolls")], seed=0).advance(["fly"])


def test_a_change_of_scene_leaves_the_object_where_it_is():
    simulator = Simulator([scene("rolls")], seed=0)
    before = simulator.advance()
    simulator.change_scenes([Scene("blue", "box", "rolls", "night")])
    after = simulator.advance()
    assert abs(after.x[0, 0] - before.x[0, -1]) < 5


def test_a_window_shows_what_the_whole_picture_shows_there():
    x, y = np.array([40.3, 60.7]), np.array([70.2, 93.0])
    for sky in SKIES:
        whole = render(Scene("green", "box", "rolls", sky), x=x, y=y)
        window = render(Scene("green", "box", "rolls", sky), x=x, y=y, top=50, left=20, height=48, width=56)
        assert np.array_equal(window, whole[:, 50:98, 20:76])


def test_the_world_needs_no_torch():
    code = (
        "import sys, inferix_tinyworld.simulator, inferix_tinyworld.segmentation, inferix_tinyworld.prompts;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
