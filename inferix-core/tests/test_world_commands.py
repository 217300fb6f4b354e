"""Logs and saved worlds on the command line, with a model made of toys."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from inferix_core.cli.application import run

from .conftest import Install

COMPONENTS = """
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner, ToySolver

class Model(ToyModel):
    def __init__(self, config, *, device, dtype):
        super().__init__(dtype=dtype)

class Planner(ToyPlanner):
    def __init__(self, config):
        super().__init__()

class Solver(ToySolver):
    def __init__(self, config):
        super().__init__()

class Decoder(ToyDecoder):
    def __init__(self, config, *, geometry, device, dtype):
        self._interrupt_at, self._num_calls = config.interrupt_at, 0

    def decode(self, latents, state):
        self._num_calls += 1
        if self._num_calls == self._interrupt_at:
            raise KeyboardInterrupt
        return super().decode(latents, state)
"""

PLUGIN = """
class DecoderConfig(ComponentConfig):
    interrupt_at: int = Field(0, description="The call at which the user presses Ctrl-C.")

PRESET = {
    "dtype": "float32", "num_threads": 1, "planner": {"use": "toy"}, "solver": {"use": "toy"},
    "decoder": {"use": "toy"}, "kv": {"store": {"use": "dense", "slack_latents": 2}},
}

@hookimpl
def inferix_models():
    yield ModelSpec("toy", "A toy.", "toy_components:Model", preset=PRESET, actions=("left", "right"))

@hookimpl
def inferix_schedulers():
    yield Spec("toy", "A toy.", "toy_components:Planner")

@hookimpl
def inferix_solvers():
    yield Spec("toy", "A toy.", "toy_components:Solver")

@hookimpl
def inferix_decoders():
    yield Spec("toy", "A toy.", "toy_components:Decoder", config=DecoderConfig)
"""

CHANGED_SOLVER = """
class Solver(Solver):
    def update(self, latents, prediction, **options):
        return super().update(latents, prediction * 0.5, **options)
"""

Inferix = Callable[..., tuple[int, str]]


@pytest.fixture
def inferix(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Inferix:
    """Runs one command line in an empty folder, with the toys installed: exit code, all that was printed."""
    (install("acme-toy", PLUGIN).parent / "toy_components.py").write_text(COMPONENTS, encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "300")
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def invoke(*arguments: str) -> tuple[int, str]:
        code = run(arguments)
        captured = capfd.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return invoke


def generated(inferix: Inferix, *arguments: str) -> str:
    """What is printed where three seconds (24 frames: 4 blocks, the last one cut) are generated."""
    signals = ("--prompt-at", "1s", "b", "--action-at", "2s", "left")
    code, said = inferix("generate", "a", "--model", "toy", "--seconds", "3", "-o", "a.npy", *signals, *arguments)
    assert code == 0, said
    return said


def lines_of(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def test_a_log_is_verified(inferix: Inferix) -> None:
    assert "a.log" in generated(inferix, "--seed", "7", "--log", "a.log")
    assert json.loads(lines_of("a.log")[0])["model"] == "acme-toy:toy"
    code, said = inferix("replay", "a.log")
    assert code == 0, said
    assert "Verified, bit for bit: 4 blocks" in said
    assert "inferix-core:sdpa is bit-exact" in said


def test_a_replay_writes_the_video_again(inferix: Inferix) -> None:
    generated(inferix, "--log", "a.log")
    assert inferix("replay", "a.log", "-o", "b.npy")[0] == 0
    first, again = np.load("a.npy"), np.load("b.npy")
    assert len(again) == 29
    assert np.array_equal(again[: len(first)], first)


@pytest.mark.parametrize(
    ("old", "new", "block"),
    [
        ('{"num_blocks": 0, "seed": 7}', '{"num_blocks": 0, "seed": 8}', "Block 0, from 0.00 s"),
        ('{"prompt": "b"}', '{"prompt": "c"}', "Block 2, from 1.62 s"),
        ('{"action": "left"}', '{"action": "right"}', "Block 3, from 2.62 s"),
    ],
)
def test_an_edited_log_ends_with_1_and_the_block_that_differs(inferix: Inferix, old: str, new: str, block: str) -> None:
    generated(inferix, "--seed", "7", "--log", "a.log")
    text = Path("a.log").read_text(encoding="utf-8")
    assert text.count(old) == 1
    Path("a.log").write_text(text.replace(old, new), encoding="utf-8")
    code, said = inferix("replay", "a.log", "--verify")
    assert code == 1
    assert f"{block} on, is the first that differs" in said
    assert "the log was changed since" in said
    assert inferix("replay", "a.log", "--verify", "-o", "b.npy")[0] == 1
    assert inferix("replay", "a.log", "-o", "b.npy")[0] == 0
    assert len(np.load("b.npy")) == 29


def test_another_store_is_verified_and_what_else_is_not_as_it_was_is_named(inferix: Inferix) -> None:
    generated(inferix, "--log", "a.log")
    code, said = inferix("replay", "a.log", "--set", "kv.store.slack_latents=9")
    assert (code, "Not as it was" in said) == (0, False)
    said = inferix("replay", "a.log", "--threads", "2")[1]
    assert "network's threads: 1 → 2" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "missing.log"], "There is no log 'missing.log'"),
        (["replay", "a.npy"], "'a.npy' is not a world's log"),
        (["replay", "a.log", "-o", "nowhere/b.npy"], "there is no folder 'nowhere'"),
        (["replay", "a.log", "-o", "a.npy", "--no-overwrite"], "'a.npy' exists"),
        (["replay", "a.log", "--set", "kv.store.use=dens"], "Did you mean 'dense'?"),
        (["generate"], "There is no prompt"),
        (["generate", "a", "-o", "b.npy", "--log", "nowhere/a.log"], "there is no folder 'nowhere'"),
        (["generate", "a", "--log", "a.log", "--no-overwrite", "-o", "b.npy"], "'a.log' exists"),
        (["generate", "a", "--log", "x", "--save", "x", "-o", "b.npy"], "cannot hold both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named(inferix: Inferix, arguments: list[str], words: str) -> None:
    generated(inferix, "--log", "a.log")
    code, said = inferix(*arguments, *(["--model", "toy"] if arguments[0] == "generate" else []))
    assert code == 2, said
    assert words in said
    assert not Path("b.npy").exists()


def test_the_log_is_written_when_the_user_stops(inferix: Inferix) -> None:
    arguments = ("--set", "decoder.interrupt_at=3", "--log", "a.log")
    code, said = inferix("generate", "a", "--model", "toy", "--seconds", "3", "-o", "a.npy", *arguments)
    assert (code, "Stopped early: 13 frames" in said) == (130, True)
    code, said = inferix("replay", "a.log", "--set", "decoder.interrupt_at=0")
    assert "Verified, bit for bit: 2 blocks" in said


def test_without_a_block_an_earlier_log_stays(inferix: Inferix) -> None:
    generated(inferix, "--log", "a.log")
    before = Path("a.log").read_bytes()
    arguments = ("--set", "decoder.interrupt_at=1", "--log", "a.log")
    assert inferix("generate", "a", "--model", "toy", "-o", "a.npy", *arguments)[0] == 130
    assert Path("a.log").read_bytes() == before


def resumed(inferix: Inferix, world: str, output: str, *arguments: str, seconds: str = "1") -> np.ndarray:
    """The frames of a saved world that goes on."""
    code, said = inferix("generate", "--resume", world, "--seconds", seconds, "-o", output, *arguments)
    assert code == 0, said
    return np.load(output)


def test_a_resumed_world_goes_on_as_if_it_had_never_stopped(inferix: Inferix) -> None:
    generated(inferix, "--save", "a.world")
    parts = [resumed(inferix, "a.world", f"{part}.npy", "--save", "a.world", "--log", "a.log") for part in range(2)]
    assert inferix("replay", "a.log", "-o", "whole.npy")[0] == 0
    expected = np.load("whole.npy")
    assert np.array_equal(np.concatenate([np.load("a.npy"), *parts]), expected[:40])


def test_a_world_that_went_on_under_other_settings_is_verified_until_then(inferix: Inferix) -> None:
    generated(inferix, "--save", "a.world")
    resumed(inferix, "a.world", "b.npy", "--threads", "2", "--save", "b.world", "--log", "b.log", seconds="2")
    for command in (("replay", "b.log"), ("world", "replay", "b.world")):
        code, said = inferix(*command, "--verify", "-o", "c.npy")
        assert (code, len(np.load("c.npy"))) == (0, 29), said
        assert "Verified, bit for bit: 4 blocks" in said
        assert "From block 4 on, the world went on under other settings: 2 blocks were not compared." in said
        assert "network's threads: 1 → 2" in said
        assert "changed since" not in said
    code, said = inferix("world", "rewind", "b.world", "--to", "5", "-o", "c.world")
    assert (code, Path("c.world").exists()) == (2, False)
    assert "went on under other settings from block 4 on (network's threads: 1 → 2" in said
    assert inferix("world", "rewind", "b.world", "--to", "3", "-o", "c.world")[0] == 0
    code, said = inferix("world", "replay", "c.world")
    assert (code, "Verified, bit for bit: 3 blocks" in said, "went on" in said) == (0, True, False)


def test_a_log_without_blocks_is_not_called_verified(inferix: Inferix) -> None:
    generated(inferix, "--log", "a.log")
    Path("a.log").write_text("".join(f"{line}\n" for line in lines_of("a.log")[:3]), encoding="utf-8")
    code, said = inferix("replay", "a.log")
    assert code == 0
    assert "There is nothing to compare: the log has no blocks." in said
    assert "A signal for block 0, which the log does not have, was not compared." in said
    assert "Verified" not in said


def test_a_resumed_world_is_told_what_the_command_says(inferix: Inferix) -> None:
    generated(inferix, "--save", "a.world")
    plain = resumed(inferix, "a.world", "b.npy", seconds="2")
    told = resumed(inferix, "a.world", "c.npy", "another", seconds="2")
    acting = resumed(inferix, "a.world", "d.npy", "--action-at", "1s", "left", seconds="2")
    assert np.array_equal(told[:5], plain[:5])
    assert not np.array_equal(told[5:], plain[5:])
    assert np.array_equal(acting[:8], plain[:8])
    assert not np.array_equal(acting[8:], plain[8:])


def test_the_world_is_saved_when_the_user_stops(inferix: Inferix) -> None:
    generated(inferix, "--save", "a.world")
    arguments = ("--set", "decoder.interrupt_at=3", "--save", "b.world")
    assert inferix("generate", "a", "--model", "toy", "--seconds", "3", "-o", "b.npy", *arguments)[0] == 130
    assert json.loads(inferix("world", "show", "b.world", "--json")[1])["num_blocks"] == 2


def test_a_saved_world_is_shown(inferix: Inferix) -> None:
    generated(inferix, "--seed", "7", "--save", "a.world")
    shown = inferix("world", "show", "a.world")[1]
    for words in ("acme-toy:toy", "4 blocks, 29 frames", "seed from here on 7", "from block 2 on prompt: b"):
        assert words in shown
    assert json.loads(inferix("world", "show", "a.world", "--json")[1])["prompt"] == "b"


def test_children_differ_by_their_seeds_and_their_logs_are_verified(inferix: Inferix) -> None:
    generated(inferix, "--save", "a.world")
    code, said = inferix("world", "fork", "a.world", "-n", "3", "--seeds", "1,2,1", "-o", "child-{}.world")
    assert code == 0, said
    one, two, three = (
        resumed(inferix, f"child-{number}.world", f"{number}.npy", "--save", f"{number}.world") for number in (1, 2, 3)
    )
    assert np.array_equal(one, three)
    assert not np.array_equal(one, two)
    code, said = inferix("world", "replay", "2.world", "--verify")
    assert (code, "Verified, bit for bit: 5 blocks" in said) == (0, True)


@pytest.mark.parametrize("back", [("--blocks", "2"), ("--to", "2")])
def test_a_rewound_world_goes_on_as_the_first_time(inferix: Inferix, back: tuple[str, str]) -> None:
    generated(inferix, "--save", "a.world")
    code, said = inferix("world", "rewind", "a.world", *back, "-o", "a.world")
    assert code == 0, said
    assert "2 blocks" in said
    again = resumed(inferix, "a.world", "b.npy", "b", "--action-at", "0.5s", "left", "--save", "b.world", seconds="1.5")
    assert np.array_equal(again[:11], np.load("a.npy")[13:])
    assert "Verified" in inferix("world", "replay", "b.world")[1]


def test_a_rewind_that_does_not_come_out_the_same_writes_nothing(inferix: Inferix) -> None:
    generated(inferix, "--save", "a.world")
    code, said = inferix("world", "rewind", "a.world", "--to", "2", "-o", "b.world", "--set", "seed=1")
    assert code == 0, said
    components = Path("../site/toy_components.py")
    components.write_text(components.read_text(encoding="utf-8") + CHANGED_SOLVER, encoding="utf-8")
    sys.modules.pop("toy_components")
    code, said = inferix("world", "rewind", "a.world", "--to", "2", "-o", "c.world")
    assert (code, "Block 0, from 0.00 s on, is the first that differs" in said) == (1, True)
    assert not Path("c.world").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["world", "show", "missing.world"], "missing.world"),
        (["world", "show", "a.npy"], "a.npy"),
        (["world", "replay", "a.log"], "a.log"),
        (["replay", "a.world"], "inferix world replay"),
        (["world", "rewind", "a.world", "-o", "b.world"], "either --blocks N"),
        (
            ["world", "rewind", "a.world", "--to", "5", "-o", "b.world"],
            "--to 5 was asked for; the world in 'a.world' has 4",
        ),
        (["world", "rewind", "a.world", "--to", "9", "-o", "b.world"], "has 4 blocks. Ask for --to 1 to --to 4."),
        (["world", "rewind", "a.world", "--blocks", "4", "-o", "b.world"], "of which 1 must stay"),
        (["world", "fork", "a.world", "-n", "2", "-o", "b.world"], "names one file for 2 children"),
        (["world", "fork", "a.world", "-n", "2", "--seeds", "1", "-o", "b-{}.world"], "2 children"),
        (["world", "fork", "a.world", "--seeds", "one", "-o", "b.world"], "whole numbers"),
        (["world", "fork", "a.world", "--seeds", "-1", "-o", "b.world"], "Seeds go from 0"),
        (["world", "fork", "a.world", "-o", "a.world", "--no-overwrite"], "'a.world' exists"),
        (["generate", "-o", "b.npy", "--resume", "missing.world"], "missing.world"),
        (
            ["generate", "-o", "b.npy", "--resume", "a.world", "--model", "toy", "--seed", "3"],
            "cannot be given with --model, --seed.",
        ),
        (
            ["generate", "a", "-o", "b.npy", "--model", "toy", "--save", "../here"],
            "'../here' cannot be written: it is a folder",
        ),
        (["generate", "-o", "b.npy", "--resume", "a.world", "--save", "nowhere/b.world"], "nowhere"),
        (["generate", "-o", "b.npy", "--resume", "a.world", "--action-at", "0s", "up"], "'up' is not an action"),
        (["generate", "-o", "b.npy", "--resume", "a.world", "--set", "decoder.interrupt_at=7"], "decoder"),
        (["generate", "-o", "b.npy", "--resume", "a.world", " "], "The prompt is empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_with_a_saved_world_is_named_and_nothing_is_written(
    inferix: Inferix, arguments: list[str], words: str
) -> None:
    generated(inferix, "--save", "a.world", "--log", "a.log")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    code, said = inferix(*arguments)
    assert code == 2, said
    assert words in said
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
