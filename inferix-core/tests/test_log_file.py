"""A world's log as a file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from inferix_core.contracts.model import Condition
from inferix_core.errors import OutputError, UnsupportedError, WorldFileError
from inferix_core.replay import read_log, recording_of, write_log
from inferix_core.replay.lines import TensorText, line_of, parsed_record
from inferix_core.runtime.log import BlockRecord, ChangeRecord, Record, SeedRecord, SignalRecord
from inferix_core.runtime.noise import CounterNoise
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from loguru import logger

NUMBERS = st.integers(0, 2**64 - 1)
TEXTS = st.none() | st.text()
RECORDS = st.one_of(
    st.builds(SignalRecord, NUMBERS, st.builds(Signal, TEXTS, TEXTS, TEXTS)),
    st.builds(SeedRecord, NUMBERS, NUMBERS),
    st.builds(BlockRecord, NUMBERS, st.text("0123456789abcdef", min_size=64, max_size=64)),
    st.builds(ChangeRecord, NUMBERS, st.lists(st.text()).map(tuple)),
)


@pytest.fixture
def world() -> World:
    world = toy_engine().create_world("a “näh” ball\n", seed=3, prefix=torch.randn(2, 2, 2, 4), num_blocks=9)
    world.step()
    world.step(Signal(action="left", id="7"))
    return world


@pytest.fixture
def path(world: World, tmp_path: Path) -> Path:
    write_log(world, tmp_path / "world.log")
    return tmp_path / "world.log"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    messages: list[str] = []
    logger.enable("inferix_core")
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING", format="{message}")
    yield messages
    logger.remove(sink)
    logger.disable("inferix_core")


@given(record=RECORDS)
def test_every_record_is_one_line_that_reads_as_itself(record: Record) -> None:
    line = line_of(record)
    assert "\n" not in line
    assert parsed_record(line) == record


def test_a_log_reads_as_it_was_written(world: World, path: Path) -> None:
    found, expected = read_log(path), recording_of(world)
    assert list(found.records) == list(expected.records) == list(world.log.records)
    assert (found.seed, found.horizon) == (3, 9)
    assert found.circumstances == expected.circumstances
    assert found.prefix is not None
    assert torch.equal(found.prefix, world.state.prefix)  # type: ignore[arg-type]
    assert len(found.digests) == 2


def test_the_header_says_what_the_bits_depend_on(path: Path) -> None:
    header = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert (header["format"], header["version"]) == ("inferix world log", 1)
    circumstances = header["circumstances"]
    assert circumstances["torch"] == torch.__version__
    assert circumstances["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert circumstances["versions"]["inferix-core"]
    assert {"device", "dtype", "num_threads", "num_decoder_threads", "attention", "is_cut_invariant"} < {*circumstances}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_prefix_keeps_its_bits_in_every_dtype(dtype: torch.dtype) -> None:
    latents = torch.randn(3, 2, 2, 4).to(dtype)[1:]
    assert torch.equal(TensorText.of(latents).tensor(), latents)


def test_a_condition_that_no_log_can_hold_is_named(tmp_path: Path) -> None:
    given = {"text": Condition(torch.randn(1, 3, 16, dtype=torch.float64))}
    with pytest.raises(UnsupportedError, match=r"condition 'text' of torch\.float64"):
        write_log(toy_engine().create_world(seed=1, conditions=given), tmp_path / "world.log")
    assert not (tmp_path / "world.log").exists()


def test_a_log_that_cannot_be_written_is_named_and_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "nowhere" / "world.log"):
        with pytest.raises(OutputError, match=target.name):
            write_log(world, target)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_a_crash_before_the_end_leaves_the_old_log(world: World, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    world.step()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_log(world, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_written_log_leaves_nothing_beside_it(path: Path) -> None:
    assert list(path.parent.iterdir()) == [path]


def test_noise_from_elsewhere_cannot_be_logged(tmp_path: Path) -> None:
    world = toy_engine().create_world("a", noise=CounterNoise(3))
    with pytest.raises(UnsupportedError, match="not made from a seed"):
        write_log(world, tmp_path / "world.log")
    assert not list(tmp_path.iterdir())


def test_a_last_line_that_ends_in_the_middle_costs_a_warning(path: Path, warnings: list[str]) -> None:
    whole = read_log(path)
    path.write_bytes(path.read_bytes()[:-20])
    cut = read_log(path)
    assert list(cut.records) == list(whole.records)[:-1]
    assert any("ends in the middle" in one for one in warnings)


def _broken(lines: list[str], number: int, line: str) -> list[str]:
    return [*lines[: number - 1], line, *lines[number:]]


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (3, '{"block": 0, "sig', "line 3 is no record"),
        (4, "", "line 4 is no record"),
        (4, '{"block": 0, "digest": "abc"}', "line 4 is no record"),
        (4, json.dumps({"block": 1, "digest": "0" * 64}), "line 4: block 1 was found where block 0 belongs"),
        (5, '{"block": 0, "signal": {"prompt": "b"}}', "line 5: a signal for block 0 was found where block 1 is"),
        (3, '{"block": 9, "signal": {"prompt": "b"}}', "line 5: a signal for block 1 was found where block 9 is"),
        (5, '{"num_blocks": 0, "seed": 4}', "line 5: a record of 0 finished blocks was found where 1 are finished"),
        (5, '{"num_blocks": 7, "seed": 4}', "line 5: a record of 7 finished blocks was found where 1 are finished"),
        (5, '{"num_blocks": 2, "changes": []}', "line 5: a record of 2 finished blocks"),
        (5, '{"num_blocks": 1, "changes": "x"}', "line 5 is no record"),
        (5, '{"block": -1, "signal": {"prompt": "b"}}', "line 5 is no record"),
        (5, '{"block": 1, "signal": {"promt": "b"}}', "line 5 is no record"),
        (2, '{"block": 0, "signal": {"prompt": "b"}}', "line 2: a log's first record is the seed"),
        (1, '{"format": "inferix world log", "version": 2}', "format version 2; this inferix-core reads 1"),
        (1, '{"format": "inferix world log", "version": 1}', "line 1: the header does not fit"),
        (1, '{"format": "another"}', "is not a world's log"),
        (1, "a video", "is not a world's log"),
    ],
)
def test_a_damaged_line_is_named(path: Path, number: int, line: str, message: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(_broken(lines, number, line)) + "\n", encoding="utf-8")
    with pytest.raises(WorldFileError, match=message):
        read_log(path)


def test_a_seed_behind_the_last_block_must_name_it(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write('{"num_blocks": 5, "seed": 4}\n')
    with pytest.raises(WorldFileError, match="line 7: a record of 5 finished blocks was found where 2"):
        read_log(path)


def test_a_prefix_of_another_length_than_its_shape_is_named(path: Path) -> None:
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(first.replace('"shape": [2, 2, 2, 4]', '"shape": [3, 2, 2, 4]') + "\n" + rest, encoding="utf-8")
    with pytest.raises(WorldFileError, match="line 1: the prefix does not fit: 128 bytes"):
        read_log(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary", b"\xff\n\xff"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(WorldFileError, match=r"a\.mp4' is not a world's log"):
        read_log(tmp_path / "a.mp4")


def test_a_missing_log_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match="There is no log"):
        read_log(tmp_path / "nothing.log")
    with pytest.raises(WorldFileError, match="cannot be read"):
        read_log(tmp_path)
