"""Saved worlds and engines that were built from a configuration: what must be the same, what may differ, codecs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.catalog import Catalog
from inferix_core.configuration import apply_overrides, resolve
from inferix_core.errors import ConfigError, UnknownPluginError, UnsupportedError, WorldFileError
from inferix_core.replay import Replay, recording_of, verify
from inferix_core.runtime.coded import CodedCache, CodedStore
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.log import BlockRecord, ChangeRecord
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ToyPlanner
from inferix_core.worldfile import describe, recording_in
from torch import Tensor

Install = Callable[..., Path]

TOYS = """
from inferix_core.testing import toys

class ModelConfig(ComponentConfig):
    checkpoint: str = Field("embedded", description="Weights.")
    num_weights: int = Field(1, description="Size.")

class PlannerConfig(ComponentConfig):
    num_block_latents: int = Field(2, description="Size.")

class Model(toys.ToyModel):
    def __init__(self, config, *, device, dtype):
        super().__init__(seed=config.num_weights, dtype=dtype)

class Planner(toys.ToyPlanner):
    def __init__(self, config):
        super().__init__(num_block_latents=config.num_block_latents)

class Solver(toys.ToySolver):
    def __init__(self, config):
        pass

class Decoder(toys.ToyDecoder):
    def __init__(self, config, *, geometry, device, dtype):
        pass

class LastTwo:
    def __init__(self, config):
        pass

    def retained(self, held, upcoming):
        return held[-2:]

    def visible(self, entry, available):
        return [latent for latent in available if latent >= entry.latents.start - 2]

    def capacity(self, num_block_latents):
        return 2 + num_block_latents

def spec(kind, name, config=ComponentConfig, **more):
    return kind(name=name.lower(), summary="A toy.", implementation=f"{__name__}:{name}", config=config, **more)

@hookimpl
def inferix_models():
    preset = {part: {"use": part} for part in ("planner", "solver", "decoder")}
    yield spec(ModelSpec, "Model", ModelConfig, preset=preset)

@hookimpl
def inferix_schedulers():
    yield spec(Spec, "Planner", PlannerConfig)

@hookimpl
def inferix_solvers():
    yield spec(Spec, "Solver")

@hookimpl
def inferix_decoders():
    yield spec(Spec, "Decoder")

@hookimpl
def inferix_kv_policies():
    yield spec(Spec, "LastTwo")
"""

CODEC = """
from inferix_core.plan import FieldShape, KVLayout

class RoundedConfig(ComponentConfig):
    steps: int = Field(4, description="Steps of a whole.")
    sink: int = Field(1, description="Exact latents.")

class Rounded:
    def __init__(self, config, *, layout, dtype):
        self.num_exact_sink_latents, self.num_exact_recent_latents = config.sink, 1
        self.steps, self.dtype = config.steps, dtype
        shapes = {name: FieldShape(field.shape, "int8") for name, field in layout.fields.items()}
        self.layout = KVLayout(layout.num_layers, layout.tokens_per_latent, shapes)

    def encode(self, fields):
        return {name: (values * self.steps).round().clamp(-127, 127).char() for name, values in fields.items()}

    def decode(self, stored):
        return {name: codes.to(self.dtype) / self.steps for name, codes in stored.items()}

class Other(Rounded):
    pass

@hookimpl
def inferix_kv_codecs():
    for name in ("Rounded", "Other"):
        yield Spec(name=name.lower(), summary="A toy.", implementation=f"{__name__}:{name}", config=RoundedConfig,
                   provides=frozenset({"lossy"}))
"""


@pytest.fixture(autouse=True)
def installed(install: Install) -> None:
    install("toy-world", TOYS)
    install("toy-codec", CODEC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.world"


def engine(*overrides: str, without: tuple[str, ...] = ()) -> Engine:
    catalog = Catalog.discover(only=["core", "toy-world", "toy-codec"], without=without)
    chosen = ("device=cpu", "dtype=float32", "model.use=model", *overrides)
    return Engine.build(resolve(apply_overrides({}, chosen), catalog), catalog)


def saved(path: Path, *overrides: str, num_blocks: int = 4) -> World:
    world = engine(*overrides).create_world("a", seed=1)
    frames(world, num_blocks)
    world.save(path)
    return world


def frames(world: World, num_blocks: int) -> Tensor:
    return torch.cat([world.step().frames for _ in range(num_blocks)])


ROUNDED = "kv.codec.use=rounded"


def test_encoded_pages_go_back_as_they_are_where_the_codec_is_the_same(path: Path) -> None:
    world = saved(path, ROUNDED)
    loaded = engine(ROUNDED).load_world(path)
    caches = [one.state.caches["main"] for one in (world, loaded)]
    for cache in caches:
        assert isinstance(cache, CodedCache)
        assert (cache.exact.held, cache.encoded.held) == ((0, 5, 6, 7), (1, 2, 3, 4))
    codes = [cache.encoded.segments(1, [range(1, 5)])[0]["k"] for cache in caches if isinstance(cache, CodedCache)]
    assert codes[0].dtype == torch.int8
    assert torch.equal(*codes)
    assert torch.equal(frames(loaded, 4), frames(world, 4))


def test_encoded_pages_are_decoded_where_there_is_no_codec_and_the_world_sees_what_it_saw(path: Path) -> None:
    world = saved(path, ROUNDED)
    assert describe(path).codec == "toy-codec:rounded"
    loaded = engine().load_world(path)
    cache = loaded.state.caches["main"]
    assert not isinstance(cache, CodedCache)
    assert cache.held == tuple(range(8))
    for layer in range(2):
        seen = [one.state.caches["main"].segments(layer, [range(8)]) for one in (world, loaded)]
        for name in ("k", "v"):
            joined = [torch.cat([segment[name] for segment in segments], dim=1) for segments in seen]
            assert torch.equal(*joined)
    loaded.step()
    loaded.save(path)
    assert describe(path).codec is None


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            (),
            (ROUNDED,),
            r"saved with no codec .* with 'toy-codec:rounded' \(steps = 4.*Load it with kv.codec.use = 'n",
        ),
        ((ROUNDED,), (ROUNDED, "kv.codec.steps=2"), r"steps = 4, .*steps = 2, .*Load it with .*steps = 4"),
        ((ROUNDED,), ("kv.codec.use=other",), r"'toy-codec:rounded' .* with 'toy-codec:other'"),
    ],
)
def test_pages_are_not_encoded_on_the_way_in(
    before: tuple[str, ...], now: tuple[str, ...], said: str, path: Path
) -> None:
    saved(path, *before)
    other = engine(*now)
    with pytest.raises(UnsupportedError, match=said):
        other.load_world(path)
    assert other.num_kv_bytes == 0


def test_a_codec_that_is_not_installed_is_named(path: Path) -> None:
    saved(path, ROUNDED)
    with pytest.raises(UnknownPluginError, match="toy-codec"):
        engine(without=("toy-codec",)).load_world(path)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.num_weights=2", "model.config.num_weights is 1 in the file and 2 here"),
        ("planner.num_block_latents=1", "planner.config.num_block_latents is 2 in the file and 1 here"),
        ("dtype=bfloat16", "dtype is float32 in the file and bfloat16 here"),
    ],
)
def test_what_must_be_the_same_and_is_not_is_named(setting: str, said: str, path: Path) -> None:
    saved(path)
    with pytest.raises(WorldFileError, match=f"another engine: .*{said}"):
        engine(setting).load_world(path)


def test_a_policy_and_a_journal_may_be_other_ones(path: Path) -> None:
    saved(path)
    loaded = engine("kv.policy.use=lasttwo", "world.num_rewind_blocks=1").load_world(path)
    assert loaded.state.caches["main"].held == tuple(range(8))
    frames(loaded, 1)
    assert loaded.state.caches["main"].held == (6, 7, 8, 9)
    loaded.rewind(4)


def test_the_same_weights_may_lie_elsewhere_and_others_may_not_lie_in_their_place(path: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "weights.bin", tmp_path / "moved" / "renamed.bin"
    second.parent.mkdir()
    first.write_bytes(bytes(range(256)) * 100)
    second.write_bytes(first.read_bytes())
    world = saved(path, f"model.checkpoint={first}")
    loaded = engine(f"model.checkpoint={second}").load_world(path)
    assert torch.equal(frames(loaded, 2), frames(world, 2))
    second.write_bytes(first.read_bytes()[::-1])
    with pytest.raises(WorldFileError, match=r"model\.config\.checkpoint is fingerprint [0-9a-f]+ in the file"):
        engine(f"model.checkpoint={second}").load_world(path)


def test_a_folder_of_weights_is_known_by_what_lies_in_it(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "part.bin").write_bytes(b"a" * 100)
    saved(path, f"model.checkpoint={folder}")
    engine(f"model.checkpoint={folder}").load_world(path)
    (folder / "deep" / "part.bin").write_bytes(b"a" * 99 + b"b")
    with pytest.raises(WorldFileError, match="checkpoint"):
        engine(f"model.checkpoint={folder}").load_world(path)


def test_a_file_holds_the_configuration_that_makes_its_engine_again(path: Path) -> None:
    world = saved(path, ROUNDED, "planner.num_block_latents=3")
    found = describe(path)
    assert found.model == "toy-world:model"
    assert found.versions["toy-codec"] == "1.0"
    assert found.config is not None
    catalog = Catalog.discover(only=["core", "toy-world", "toy-codec"])
    loaded = Engine.build(resolve(found.config, catalog), catalog).load_world(path)
    assert torch.equal(frames(loaded, 2), frames(world, 2))


def test_the_log_in_a_file_can_be_replayed(path: Path) -> None:
    world = engine().create_world("a", seed=1)
    world.step(Signal(action="left"))
    world.step(Signal(prompt="b"))
    world.save(path)
    recording = recording_in(path)
    assert recording.digests == [one.digest for one in world.log.records if isinstance(one, BlockRecord)]
    with Replay(engine(), recording) as replay:
        assert [one.is_same for one in replay.blocks()] == [True, True]


LAST_TWO = "kv.policy.use=lasttwo"
TO_LAST_TWO, FROM_LAST_TWO = "kv.policy.use: full → lasttwo", "kv.policy.use: lasttwo → full"


def changes(world: World) -> list[ChangeRecord]:
    return [one for one in world.log.records if isinstance(one, ChangeRecord)]


def test_a_world_that_went_on_under_another_policy_is_compared_until_then(path: Path) -> None:
    saved(path, num_blocks=3)
    world = engine(LAST_TWO).load_world(path)
    frames(world, 2)
    recording = recording_of(world)
    found = verify(engine(), recording)
    assert (found.is_verified, found.num_blocks, found.num_not_compared) == (True, 3, 2)
    assert found.change == ChangeRecord(3, (TO_LAST_TWO,))
    assert found.differences == []
    with Replay(engine(), recording) as replay:
        assert len(list(replay.blocks())) == 3
        with pytest.raises(ConfigError, match=f"has 5, from block 3 on made under others .{TO_LAST_TWO}.*0 to 3"):
            replay.blocks(4)


def test_what_a_world_began_with_stays_known_through_forks_rewinds_and_more_files(path: Path) -> None:
    saved(path, ROUNDED, num_blocks=3)
    world = engine(LAST_TWO, ROUNDED, "world.num_rewind_blocks=2").load_world(path)
    (child,) = world.fork(1, seeds=[9])
    frames(child, 2)
    child.rewind(3)
    frames(child, 1)
    child.save(path)
    last = engine(ROUNDED).load_world(path)
    assert changes(last) == [ChangeRecord(3, (TO_LAST_TWO,)), ChangeRecord(4, (FROM_LAST_TWO,))]
    last.step()
    last.save(path)
    assert describe(path).config == engine(ROUNDED).config.effective  # type: ignore[union-attr]
    found = verify(engine(ROUNDED), recording_in(path))
    assert (found.is_verified, found.num_blocks, found.num_not_compared) == (True, 3, 2)


def test_what_changes_no_bits_is_no_change(path: Path) -> None:
    saved(path)
    world = engine("kv.store.slack_latents=9", "world.num_rewind_blocks=1", "seed=8").load_world(path)
    frames(world, 1)
    assert changes(world) == []
    assert verify(engine(), recording_of(world)).num_blocks == 5


class Halves:
    """Keeps halves."""

    num_exact_sink_latents = num_exact_recent_latents = 0

    def __init__(self, layout: Any) -> None:
        self.layout = layout

    def encode(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: (values * 2).round() for name, values in fields.items()}

    def decode(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: values / 2 for name, values in stored.items()}


def test_engines_made_of_parts_take_their_own_codec_back_and_cannot_do_without(path: Path) -> None:
    def coded() -> Engine:
        model = toy_engine().parts.model
        store = CodedStore(ToyStore(), ToyStore(), Halves(model.layout), layout=model.layout)
        return toy_engine(store=store, planner=ToyPlanner())

    world = coded().create_world("a", seed=1)
    frames(world, 3)
    world.save(path)
    assert torch.equal(frames(coded().load_world(path), 3), frames(world, 3))
    with pytest.raises(UnsupportedError, match=r"Halves' of an engine that was made of parts"):
        toy_engine().load_world(path)
