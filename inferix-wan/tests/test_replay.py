"""Worlds that began with a picture or a video are made again from their logs, bit for bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from inferix_core.errors import SignalError
from inferix_core.replay import read_log, verify, write_log
from inferix_core.runtime.engine import Engine
from inferix_core.worldfile import recording_in


def engine(name: str) -> Engine:
    """The preset `tiny-random` in float32, in the smallest frames."""
    model = {"preset": "tiny-random", "height": 32, "width": 48}
    threads = {"num_threads": 1, "num_decoder_threads": 1}
    return Engine.load(name, config={"model": model, "dtype": "float32", "device": "cpu", **threads})


def frames(num_frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num_frames, 40, 40, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("name", "num_frames"), [("wan-i2v", 1), ("self-forcing", 1), ("self-forcing", 9)])
def test_the_log_alone_holds_what_the_world_began_with(tmp_path: Path, name: str, num_frames: int) -> None:
    made = engine(name)
    with made.create_world("a red ball", frames=frames(num_frames), fit="pad", seed=1) as world:
        for _ in range(1 if name == "wan-i2v" else 3):
            world.step()
        write_log(world, tmp_path / "world.log")
    found = verify(engine(name), read_log(tmp_path / "world.log"))
    assert found.is_verified
    assert found.num_blocks == (1 if name == "wan-i2v" else 3)
    assert not found.differences


def test_without_its_picture_a_clip_is_another_or_none(tmp_path: Path) -> None:
    made = engine("wan-i2v")
    with made.create_world("a red ball", frames=frames(1), seed=1) as world:
        world.step()
        world.save(tmp_path / "ball.world")
    recording = recording_in(tmp_path / "ball.world")
    assert verify(made, recording).is_verified
    tokens = {name: replace(part, tokens=part.tokens * 0.5) for name, part in recording.conditions.items()}
    assert not verify(made, replace(recording, conditions=tokens)).is_verified
    with pytest.raises(SignalError, match="begins with a picture"):
        verify(made, replace(recording, conditions={}))
