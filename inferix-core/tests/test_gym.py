"""The simulator face: episodes, forks, and the rules of Gymnasium."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from inferix_core.errors import ConfigError, InferixError, SignalError, UnsupportedError
from inferix_core.gym import Frames, GymnasiumWorld, Info, WorldEnvironment
from inferix_core.runtime.engine import Engine
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ACTIONS

FIRST, LATER = 5, 8  # frames of a toy world's blocks


@pytest.fixture
def engine() -> Engine:
    return toy_engine()


@pytest.fixture
def environment(engine: Engine) -> Iterator[WorldEnvironment]:
    with WorldEnvironment(engine, prompt="a pond") as made:
        yield made


def episode(environment: WorldEnvironment, seed: int, *actions: str) -> list[Frames]:
    return [environment.reset(seed)[0], *(environment.step(action)[0] for action in actions)]


def same(one: list[Frames], other: list[Frames]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_step_shows_the_frames_of_one_block_and_what_is_known_of_it(environment: WorldEnvironment) -> None:
    first, _ = environment.reset(1)
    frames, info = environment.step(Signal(action="left", id="mine"))
    assert (first.shape, frames.shape, frames.dtype) == ((FIRST, 8, 16, 3), (LATER, 8, 16, 3), np.uint8)
    assert (info["block"], info["signal_ids"]) == (1, ("mine",))
    assert info["seconds"] == (FIRST + LATER) / 8.0
    assert info["timings"]["pass"] > 0.0


def test_the_seed_and_the_actions_decide_what_is_seen(environment: WorldEnvironment) -> None:
    once = episode(environment, 3, "left", "right")
    assert same(once, episode(environment, 3, "left", "right"))
    assert not same(once, episode(environment, 4, "left", "right"))
    again = episode(environment, 3, "left", "left")
    assert same(once[:2], again[:2])
    assert not same(once[2:], again[2:])


def test_a_reset_may_begin_with_another_prompt(environment: WorldEnvironment) -> None:
    pond, _ = environment.reset(1)
    desert, _ = environment.reset(1, prompt="a desert")
    assert not np.array_equal(pond, desert)


def test_a_fork_sees_what_its_parent_would_have_seen(environment: WorldEnvironment) -> None:
    alone = episode(environment, 5, "left", "right")
    environment.reset(5)
    environment.step("left")
    child, other = environment.fork(2)
    frames, info = child.step("right")
    assert np.array_equal(frames, alone[2])
    assert info["seconds"] == (FIRST + 2 * LATER) / 8.0
    assert not np.array_equal(other.step("left")[0], frames)
    assert np.array_equal(environment.step("right")[0], frames)


def test_forks_diverge_by_their_seeds(environment: WorldEnvironment) -> None:
    environment.reset(5)
    one, other = environment.fork(2, seeds=[1, 2])
    assert not np.array_equal(one.step()[0], other.step()[0])


def test_without_a_world_the_error_says_what_to_call(environment: WorldEnvironment) -> None:
    with pytest.raises(InferixError, match="Call reset"):
        environment.step("left")
    environment.reset(1)
    environment.close()
    with pytest.raises(InferixError, match="Call reset"):
        environment.fork()


def test_an_unknown_action_leaves_the_world_as_it_was(environment: WorldEnvironment) -> None:
    expected = episode(environment, 2, "left")[1]
    environment.reset(2)
    with pytest.raises(SignalError, match="up"):
        environment.step("up")
    assert np.array_equal(environment.step("left")[0], expected)


def test_a_reset_that_fails_keeps_the_earlier_world(environment: WorldEnvironment) -> None:
    environment.reset(2)
    with pytest.raises(SignalError):
        environment.reset(2, prompt="")
    assert environment.step()[1]["block"] == 1


def test_a_reset_and_a_close_give_the_memory_back(engine: Engine, environment: WorldEnvironment) -> None:
    environment.reset(1)
    one_world = engine.num_kv_bytes
    environment.reset(2)
    assert engine.num_kv_bytes == one_world > 0
    environment.close()
    assert engine.num_kv_bytes == 0


@pytest.mark.parametrize("num_frames", [None, 12])
def test_gymnasium_finds_nothing_to_complain_of(engine: Engine, num_frames: int | None) -> None:
    world = GymnasiumWorld(engine, prompt="a pond", actions=ACTIONS, num_frames=num_frames, render_mode="rgb_array")
    check_env(world)
    world.close()


def test_observations_are_the_last_frames_and_keep_their_shape(engine: Engine) -> None:
    world = GymnasiumWorld(engine, prompt="a pond", actions=ACTIONS, num_frames=6, render_mode="rgb_array")
    environment = WorldEnvironment(engine, prompt="a pond")
    first, second = episode(environment, 7, "right")
    observed, _ = world.reset(seed=7)
    assert np.array_equal(observed, np.concatenate([first[:1], first]))
    observed, *_ = world.step(np.int64(ACTIONS.index("right")))
    assert np.array_equal(observed, second[-6:])
    assert np.array_equal(world.render(), second[-1])


def test_a_seeded_reset_fixes_the_episodes_after_it(engine: Engine) -> None:
    world = GymnasiumWorld(engine, actions=ACTIONS)

    def two_episodes() -> list[Frames]:
        return [world.reset(seed=1)[0], world.reset()[0]]

    first, second = two_episodes()
    assert same([first, second], two_episodes())
    assert not np.array_equal(first, second)


def test_a_prompt_is_an_option_of_the_reset_and_a_misspelt_one_is_named(engine: Engine) -> None:
    world = GymnasiumWorld(engine, actions=ACTIONS)
    plain, _ = world.reset(seed=1)
    prompted, _ = world.reset(seed=1, options={"prompt": "a desert"})
    assert not np.array_equal(plain, prompted)
    with pytest.raises(ConfigError, match=r"'promt'. Did you mean 'prompt'\?"):
        world.reset(options={"promt": "a desert"})


def test_the_reward_is_the_callers_and_blocks_truncate_the_episode(engine: Engine) -> None:
    def brightness(frames: Frames, info: Info) -> float:
        return float(frames.mean()) + info["block"]

    world = GymnasiumWorld(engine, actions=ACTIONS, reward=brightness, max_blocks=3)
    world.reset(seed=1)
    _, reward, terminated, truncated, info = world.step(np.int64(0))
    assert reward > info["block"] == 1
    assert (terminated, truncated) == (False, False)
    assert world.step(np.int64(0))[3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"actions": None}, "names no actions"),
        ({"num_frames": 0}, "at least 1 frame"),
        ({"max_blocks": 1}, "at least 2 blocks"),
        ({"render_mode": "human"}, "rgb_array"),
    ],
)
def test_what_cannot_be_an_environment_is_refused(engine: Engine, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        GymnasiumWorld(engine, **{"actions": ACTIONS, **options})  # type: ignore[arg-type]


def test_an_action_that_is_no_index_is_refused(engine: Engine) -> None:
    world = GymnasiumWorld(engine, actions=ACTIONS)
    world.reset(seed=1)
    with pytest.raises(ConfigError, match="0 to 2"):
        world.step(np.int64(3))


def loaded_by(statement: str, *, asked: str) -> str:
    code = f"import sys\n{statement}\nprint(*sorted({{{asked}}} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_simulator_face_loads_neither_torch_nor_gymnasium() -> None:
    assert loaded_by("from inferix_core.gym import WorldEnvironment", asked="'torch', 'gymnasium'") == ""


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "inferix_core.gym.gymnasium_world")
    with pytest.raises(UnsupportedError, match=r"pip install 'inferix-core\[gym\]'"):
        import_gymnasium_world()


def import_gymnasium_world() -> object:
    import inferix_core.gym

    return inferix_core.gym.GymnasiumWorld
