"""Scripts: what a world is told, and when, from a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from inferix_core import ConfigError, Signal, SignalError, TimedSignal, load_script
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.log import SignalRecord
from inferix_core.runtime.world import World
from inferix_core.testing.toy_engine import toy_engine
from loguru import logger

STORY = """
[[signals]]
at = 0
prompt = " a "

[[signals]]
at_block = 2
action = "left"
id = "turn"

[[signals]]
at = 1.5
prompt = "b"
negative_prompt = ""
"""


@pytest.fixture
def engine() -> Engine:
    return toy_engine()


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    messages: list[str] = []
    logger.enable("inferix_core")
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING", format="{message}")
    yield messages
    logger.remove(sink)
    logger.disable("inferix_core")


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "story.toml"
    path.write_text(text, encoding="utf-8")
    return path


def told(world: World) -> list[tuple[int, Signal]]:
    return [(one.block, one.signal) for one in world.log.records if isinstance(one, SignalRecord)]


def test_a_script_is_the_signals_of_its_tables_in_their_order(tmp_path: Path) -> None:
    assert load_script(script(tmp_path, STORY)) == [
        TimedSignal(0.0, Signal(prompt="a")),
        TimedSignal.at_block(2, Signal(action="left", id="turn")),
        TimedSignal(1.5, Signal(prompt="b", negative_prompt="")),
    ]


def test_signals_by_blocks_and_by_seconds_reach_the_blocks_that_they_name(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    signals = [
        TimedSignal.at_block(3, Signal(action="left")),
        TimedSignal.at_block(1, Signal(prompt="b")),
        TimedSignal(1.0, Signal(prompt="c")),  # 8 frames, within block 1: from block 2 on
    ]
    list(world.run(num_frames=35, signals=signals))
    assert told(world) == [
        (0, Signal(prompt="a")),
        (1, Signal(prompt="b")),
        (2, Signal(prompt="c")),
        (3, Signal(action="left")),
    ]


def test_blocks_are_counted_from_the_start_of_the_run(engine: Engine) -> None:
    world = engine.create_world("a", seed=1)
    list(world.run(num_frames=7))  # two blocks, of which 6 frames are left over
    list(world.run(num_frames=22, signals=[TimedSignal.at_block(1, Signal(prompt="b"))]))
    assert told(world)[1:] == [(3, Signal(prompt="b"))]


def test_of_two_prompts_for_one_block_that_by_blocks_counts(engine: Engine) -> None:
    worlds = [engine.create_world("a", seed=1) for _ in range(2)]
    both = [TimedSignal.at_block(1, Signal(prompt="b")), TimedSignal(0.5, Signal(prompt="c"))]
    one, other = (
        torch.cat([block.frames for block in world.run(num_frames=13, signals=signals)])
        for world, signals in zip(worlds, (both, both[:1]), strict=True)
    )
    assert torch.equal(one, other)


def test_a_signal_whose_time_never_comes_costs_a_warning(engine: Engine, warnings: list[str]) -> None:
    world = engine.create_world("a", seed=1)
    late = [TimedSignal.at_block(9, Signal(prompt="never")), TimedSignal(8.0, Signal(prompt="late"))]
    list(world.run(num_frames=13, signals=late))
    assert len(warnings) == 2
    assert "'late' at 8 s" in warnings[0]
    assert "'never' after 9 blocks" in warnings[1]


@pytest.mark.parametrize(("seconds", "block"), [(None, None), (1.0, 1)])
def test_a_timed_signal_has_one_time(seconds: float | None, block: int | None) -> None:
    with pytest.raises(SignalError, match="either seconds or a block"):
        TimedSignal(seconds, Signal(prompt="a"), block)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[[signals]]\nat = 1\nprmpt = "a"',
            "story.toml: signals.0.prmpt: there is no such key. Did you mean 'prompt'?",
        ),
        ('[[signal]]\nat = 1\nprompt = "a"', "signal: there is no such key. Did you mean 'signals'?"),
        ("", "story.toml: signals: is missing"),
        ("signals = []", "signals: list should have at least 1 item"),
        ('[[signals]]\nat = "4s"\nprompt = "a"', "signals.0.at: must be a number, found '4s'"),
        ('[[signals]]\nat = -1\nprompt = "a"', r"signals.0.at: must be at least 0.0 \(seconds\), found -1"),
        ('[[signals]]\nat = nan\nprompt = "a"', "signals.0.at: must be a"),
        ('[[signals]]\nat_block = 1.5\nprompt = "a"', "signals.0.at_block: must be a whole number, found 1.5"),
        ('[[signals]]\nprompt = "a"', "signals.0: needs at = … .* found neither"),
        ('[[signals]]\nat = 1\nat_block = 1\nprompt = "a"', "signals.0: needs at = … .* found both"),
        ('[[signals]]\nat = 1\nid = "x"', "signals.0: tells nothing"),
        ('[[signals]]\nat = 1\nprompt = " "', "signals.0: has an empty prompt"),
        ('[[signals]]\nat = 1\nprompt = "a', "The script '.*story.toml' is not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_script(script(tmp_path, text))


def test_every_mistake_is_told_at_once_and_a_missing_file_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2 problems in the script '.*story\.toml'") as told_of:
        load_script(script(tmp_path, '[[signals]]\nat = -1\nprompt = "a"\n[[signals]]\nat = 1\nactoin = "left"'))
    assert "signals.1.actoin: there is no such key. Did you mean 'action'?" in str(told_of.value)
    with pytest.raises(ConfigError, match=r"There is no script '.*absent\.toml'"):
        load_script(tmp_path / "absent.toml")
