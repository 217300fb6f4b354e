"""What a saved world can hold: dtypes, shapes, plain values; and what it cannot."""

from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.contracts.model import Condition, Conditions
from inferix_core.errors import UnsupportedError
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.noise import CounterNoise
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyDecoder, ToyModel
from inferix_core.worldfile.dtypes import STORED_DTYPES
from inferix_core.worldfile.unpacking import unpacked
from inferix_core.worldfile.world_file import opened
from safetensors.torch import load_file
from torch import Tensor


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.world"


def through_file(world: World, path: Path, engine: Engine) -> World:
    world.save(path)
    return engine.load_world(path)


def test_noise_that_no_seed_makes_cannot_be_saved(path: Path) -> None:
    class Tape(CounterNoise):
        pass

    world = toy_engine().create_world("a", noise=Tape(1))
    with pytest.raises(UnsupportedError, match=r"draws its noise from a .*Tape"):
        world.save(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("odd", [{1, 2}, {1: "a"}, object(), [torch.Size([1])], 1j])
def test_a_state_that_is_no_plain_data_is_named(odd: object, path: Path) -> None:
    class Odd(ToyDecoder):
        def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
            return super().decode(latents, None)[0], {"deep": [odd]}

    world = toy_engine(decoder=Odd()).create_world("a")
    world.step()
    with pytest.raises(UnsupportedError, match=r"decoder_state\.deep\.0.* cannot be saved: it is a "):
        world.save(path)


def test_a_condition_with_fields_of_its_own_cannot_be_saved(path: Path) -> None:
    class Richer(Condition):
        pass

    class Model(ToyModel):
        def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
            return {name: Richer(one.tokens) for name, one in super().encode(signal, previous).items()}

    with pytest.raises(UnsupportedError, match=r"Richer.*Condition\.memo"):
        toy_engine(model=Model()).create_world("a").save(path)


def test_tensors_of_every_dtype_and_shape_come_back_bit_for_bit(path: Path) -> None:
    bits = torch.randint(0, 256, (3, 4, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    known: dict[str, Any] = {
        name: bits.view(getattr(torch, dtype.torch_name)) for name, dtype in STORED_DTYPES.items() if name != "BOOL"
    }
    known |= {"BOOL": bits > 100, "one": torch.tensor(1.5), "none": torch.empty(0, 3), "gaps": bits[:, ::2, 1:3]}
    world = toy_engine().create_world("a")
    world.state.decoder_state = known
    found = through_file(world, path, toy_engine()).state.decoder_state
    assert list(found) == list(known)
    for name, tensor in known.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        raw = [one.contiguous().view(-1).view(torch.uint8) for one in (found[name], tensor)]
        assert torch.equal(*raw), name


def test_tensors_go_where_the_engine_is_but_for_those_that_lay_on_the_host_beside_it(path: Path) -> None:
    elsewhere = torch.device("meta")
    world = toy_engine().create_world("a")
    list(world.run(num_frames=7))
    world.save(path)
    with opened(path) as file:
        found = unpacked(file, world_id="a", device=elsewhere)
    assert found.state.decoder_state.device == found.state.committed[1].device == elsewhere
    assert found.surplus is not None
    assert found.surplus.frames.device.type == "cpu"
    toy_engine(device=elsewhere).world_of(world.state).save(path)
    with opened(path) as file:
        assert unpacked(file, world_id="a", device=elsewhere).state.decoder_state.device.type == "cpu"


def test_the_file_is_one_that_safetensors_reads(path: Path) -> None:
    world = toy_engine().create_world("a")
    world.step()
    world.state.decoder_state = (torch.arange(3, dtype=torch.uint8), torch.arange(5, dtype=torch.float64))
    world.save(path)
    with opened(path) as file:
        starts = accumulate((one.num_bytes for one in file.manifest.tensors), initial=0)
        for entry, start in zip(file.manifest.tensors, starts, strict=False):
            assert start % STORED_DTYPES[entry.dtype].itemsize == 0, "readers map the file into memory"
    found = load_file(path)
    assert torch.equal(found["decoder_state.1"], world.state.decoder_state[1])
    (segment,) = world.state.caches["main"].segments(1, [range(2)])
    assert torch.equal(found["pages.main.exact.1.k"].flatten(0, 1), segment["k"][0])


def test_a_tensor_that_is_there_twice_is_stored_once_and_names_do_not_clash(path: Path) -> None:
    world = toy_engine().create_world("a")
    shared = torch.randn(1000)
    world.state.decoder_state = {"a.b": shared, "a": {"b": torch.ones(2)}, "c": [shared, shared]}
    found = through_file(world, path, toy_engine()).state.decoder_state
    assert path.stat().st_size < 2 * shared.nbytes + 4000
    assert found["c"][0] is found["c"][1] is found["a.b"]
    assert torch.equal(found["a.b"], shared)
    assert torch.equal(found["a"]["b"], torch.ones(2))


@pytest.mark.parametrize("value", [float("inf"), 0.1, 2**70, -0.0, "\ud800 ü", "", True, [], (), {}])
def test_plain_values_come_back_as_they_are(value: object, path: Path) -> None:
    world = toy_engine().create_world("a")
    world.state.decoder_state = (value, [value], {"key": value})
    found = through_file(world, path, toy_engine()).state.decoder_state
    assert found == world.state.decoder_state
    assert repr(found) == repr(world.state.decoder_state)
