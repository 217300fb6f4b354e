"""World files that are damaged, of another version, or none at all: each is found before anything is loaded."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferix_core.errors import WorldFileError
from inferix_core.runtime.engine import Engine
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ToyPlanner, ToySolver, ToyStaggeredPlanner
from inferix_core.worldfile import describe, recording_in
from inferix_core.worldfile.header import header_around, header_of
from inferix_core.worldfile.manifest import TensorEntry
from inferix_core.worldfile.world_file import opened
from safetensors.torch import save_file

once_for_all = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def engine() -> Engine:
    return toy_engine(store=ToyStore(), planner=ToyStaggeredPlanner())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A world in a file, two blocks old, with a signal that waits."""
    world = engine().create_world("a", seed=1)
    world.step(), world.step()
    world.send(Signal(prompt="b"))
    world.save(tmp_path / "a.world")
    world.close()
    return tmp_path / "a.world"


def refusal(path: Path, where: Engine | None = None) -> str:
    """What is said of the file, of which nothing was loaded."""
    with pytest.raises(WorldFileError) as raised:
        (where or engine()).load_world(path)
    assert (where or engine()).num_kv_bytes == 0
    return str(raised.value)


@once_for_all
@given(share=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_a_byte_that_changed_is_found_wherever_it_is(path: Path, share: float, flipped: int) -> None:
    raw = bytearray(path.read_bytes())
    place = int(share * len(raw))
    raw[place] ^= flipped
    broken = path.with_name("broken.world")
    broken.write_bytes(raw)
    assert str(broken) in refusal(broken)


@once_for_all
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_byte_that_changed_in_the_first_ones_is_found(path: Path, share: float) -> None:
    raw = bytearray(path.read_bytes())
    raw[int(share * 60)] ^= 1 + int(share * 1e6) % 255
    path.with_name("broken.world").write_bytes(raw)
    refusal(path.with_name("broken.world"))
    with pytest.raises(WorldFileError):
        describe(path.with_name("broken.world"))


@once_for_all
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_off_is_found_at_any_length(path: Path, share: float) -> None:
    raw = path.read_bytes()
    broken = path.with_name("broken.world")
    broken.write_bytes(raw[: int(share * len(raw))])
    refusal(broken)
    with pytest.raises(WorldFileError):
        describe(broken)


@pytest.mark.parametrize("length", range(40))
def test_a_file_of_a_few_bytes_is_found(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    refusal(path)


def test_it_is_said_which_tensor_is_damaged(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert "the tensor 'pages.main.exact.1.v' is not the one that was written" in refusal(path)
    assert describe(path).num_blocks == 2, "the header is whole"
    with pytest.raises(WorldFileError, match=r"pages\.main"):
        recording_in(path)


def test_it_is_said_that_the_manifest_was_edited(path: Path) -> None:
    before, after = b'num_finished\\":2', b'num_finished\\":3'
    assert before in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(before, after))
    assert "the manifest is not the one that was written" in refusal(path)


def test_bytes_behind_the_end_are_found(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    assert "goes on behind its end" in refusal(path)


def test_what_is_no_world_file_is_told_apart(path: Path, tmp_path: Path) -> None:
    video, other, folder = tmp_path / "a.mp4", tmp_path / "weights.safetensors", tmp_path / "folder"
    video.write_bytes(b"\0\0\0\x20ftypisom" + bytes(1000))
    save_file({"a": next(iter(engine().parts.model.encode(Signal(), None).values())).tokens}, other)
    folder.mkdir()
    path.write_bytes(b"")
    assert "is not a world file" in refusal(video)
    assert "another safetensors file" in refusal(other)
    assert "is a folder" in refusal(folder)
    assert "is empty" in refusal(path)
    assert "There is no world file" in refusal(tmp_path / "missing.world")
    assert "cannot be read" in refusal(path / "below.world")


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the manifest and makes everything else fit."""
    with opened(path) as file:
        start = len(header_of(file.manifest))
        fields = json.loads(file.manifest.to_json())
    data = path.read_bytes()[start:]
    change(fields)
    tensors = [TensorEntry(**entry) for entry in fields["tensors"]]
    header = header_around(json.dumps(fields, separators=(",", ":")), tensors)
    path.write_bytes(header + data[: sum(entry.num_bytes for entry in tensors)])


def test_a_file_that_was_written_anew_is_as_good(path: Path) -> None:
    before = path.read_bytes()
    rewritten(path, lambda _: None)
    assert path.read_bytes() == before


def drop_last(fields: dict[str, Any]) -> None:
    fields["tensors"].pop()


def rename_last(fields: dict[str, Any]) -> None:
    fields["tensors"][-1]["name"] = "another"


def drop_cache(fields: dict[str, Any]) -> None:
    fields["state"]["caches"] = {}


def reshape_latents(fields: dict[str, Any]) -> None:
    entry = next(entry for entry in fields["tensors"] if entry["name"] == "flying.2.latents")
    entry["shape"] = [*entry["shape"][::-1]]


def reshape_pages(fields: dict[str, Any]) -> None:
    entry = next(entry for entry in fields["tensors"] if entry["name"] == "pages.main.exact.0.k")
    entry["shape"] = [*entry["shape"][::-1]]


def mix_up_axes(fields: dict[str, Any]) -> None:
    for entry in fields["tensors"]:
        entry["order"] = [7, *range(1, len(entry["shape"]))]


def lose_a_condition(fields: dict[str, Any]) -> None:
    fields["state"]["condition_table"].pop()


def lose_a_latent(fields: dict[str, Any]) -> None:
    fields["state"]["committed"]["latents"].pop()


def write_no_tree(fields: dict[str, Any]) -> None:
    fields["state"]["decoder_state"] = {"pickle": "x"}


def lose_a_field(fields: dict[str, Any]) -> None:
    del fields["state"]["horizon"]


def add_a_tier(fields: dict[str, Any]) -> None:
    fields["state"]["caches"]["main"]["third"] = {"held": [], "reserved": []}


def move_a_seed(fields: dict[str, Any]) -> None:
    fields["state"]["log"].append({"num_blocks": 7, "seed": 1})


def lose_a_block_of_the_log(fields: dict[str, Any]) -> None:
    fields["state"]["log"].pop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_last, "the tensor 'pages.main.exact.1.v' is missing"),
        (rename_last, "the tensor 'pages.main.exact.1.v' is missing"),
        (drop_cache, "belongs to nothing"),
        (reshape_latents, "the latents 'flying.2.latents' are"),
        (reshape_pages, "'pages.main.exact.0.k' is not of float32"),
        (mix_up_axes, "does not fit"),
        (lose_a_condition, "names a condition that is not there"),
        (lose_a_latent, "latents are named for rows of"),
        (write_no_tree, "no plain data"),
        (lose_a_field, "does not fit at state.horizon"),
        (add_a_tier, "has the tiers exact, third"),
        (move_a_seed, "record 4 of its log does not fit: a record of 7 finished blocks was found where 2 are"),
        (lose_a_block_of_the_log, "its log has 1 blocks where 2 are finished"),
    ],
)
def test_a_manifest_whose_parts_do_not_fit_is_found(
    change: Callable[[dict[str, Any]], None], said: str, path: Path
) -> None:
    rewritten(path, change)
    assert said in refusal(path)


def test_a_file_of_a_newer_inferix_says_so(path: Path) -> None:
    rewritten(path, lambda fields: fields.update(format_version=7, core_version="9.1", new={}))
    assert "made by a newer inferix: format 7 of inferix-core 9.1" in refusal(path)
    with pytest.raises(WorldFileError, match="pip install --upgrade inferix-core"):
        describe(path)


def test_a_world_of_another_engine_is_refused(path: Path) -> None:
    def other(**changes: Any) -> str:
        return refusal(path, toy_engine(store=ToyStore(), **{"planner": ToyStaggeredPlanner(), **changes}))

    class OtherSolver(ToySolver):
        pass

    assert "classes.planner is inferix_core.testing.toys.ToyStaggeredPlanner in the file" in other(planner=ToyPlanner())
    assert "OtherSolver here" in other(solver=OtherSolver())
    assert "window_relative is False in the file and True here" in other(window_relative=True)
