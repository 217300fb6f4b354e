"""Frames that several ranks decode together, against those of one decoder."""

from pathlib import Path

import pytest
import torch
from inferix_core import Engine, UnsupportedError
from ranked_engines import TINY, alone, driven
from torch import Tensor

RING = ("parallel.use=ring",)


def frames(engine: Engine) -> Tensor:
    world = engine.create_world("a red ball bounces", seed=5)
    return torch.cat([world.step().frames, world.step().frames])


def first_frames(engine: Engine) -> Tensor:
    return engine.create_world("a red ball bounces", seed=5).step().frames


@pytest.mark.parametrize(
    "settings", [TINY, pytest.param(("model.use=tinyworld",), marks=pytest.mark.long)], ids=["wan", "tinyworld"]
)
def test_columns_make_the_frames_of_one_decoder(settings: tuple[str, ...]) -> None:
    found = driven(3, frames, *settings, *RING, "ranks.decode=width")
    expected = alone(frames, *settings)
    assert found.shape == expected.shape
    assert (found.int() - expected.int()).abs().max() <= 1  # rounding of uint8


def test_tiles_make_nearly_the_frames_of_one_decoder() -> None:
    settings = ("model.use=tinyworld",)
    found = driven(2, first_frames, *settings, *RING, "ranks.decode=tiles").float()
    expected = alone(first_frames, *settings).float()
    assert found.shape == expected.shape
    assert 0.0 < (found - expected).abs().mean() < 4.0


def test_a_world_decoded_in_columns_is_saved_as_one_decoder_would_have_it(tmp_path: Path) -> None:
    path = tmp_path / "a.world"

    def save(engine: Engine) -> Tensor:
        world = engine.create_world("a red ball bounces", seed=5)
        world.step()
        world.save(path)
        return world.step().frames

    def go_on(engine: Engine) -> Tensor:
        return engine.load_world(path).step().frames

    expected = driven(2, save, *TINY, *RING, "ranks.decode=width")
    for found in (alone(go_on, *TINY), driven(3, go_on, *TINY, *RING, "ranks.decode=width")):
        assert (found.int() - expected.int()).abs().max() <= 1


def test_a_world_decoded_in_tiles_cannot_be_saved(tmp_path: Path) -> None:
    def save(engine: Engine) -> int:
        world = engine.create_world("a red ball bounces")
        world.step()
        with pytest.raises(UnsupportedError, match="tiles"):
            world.save(tmp_path / "a.world")
        return world.step().index

    assert driven(2, save, *TINY, *RING, "ranks.decode=tiles") == 1
    assert not list(tmp_path.iterdir())
