"""Worlds that begin with a picture or a video, from files and from Python."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from inferix_core import ConfigError, Engine, UnsupportedError
from PIL import Image

COMMAND = [sys.executable, "-m", "inferix_core.cli", "generate"]
TINY = ("--model", "self-forcing", "--preset", "tiny-random", "--seconds", "1")


def generate(*arguments: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, a video of tinyworld, and a file that is neither."""
    path = tmp_path_factory.mktemp("beginnings")
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 50:] = (250, 40, 30)
    Image.fromarray(pixels).save(path / "a.png")
    generate("a red ball bounces", "--seconds", "1", "-o", "a.mp4", cwd=path)
    (path / "broken").write_bytes(b"neither" * 50)
    return path


def frames(folder: Path, *arguments: str) -> np.ndarray:
    generate("a ball", *TINY, *arguments, "-o", "out.npy", cwd=folder)
    made: np.ndarray = np.load(folder / "out.npy")
    return made


def test_a_picture_a_video_and_nothing_give_different_worlds(folder: Path) -> None:
    made = [frames(folder), frames(folder, "--image", "a.png"), frames(folder, "--video", "a.mp4")]
    assert {one.shape for one in made} == {(16, 64, 96, 3)}
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(made[one], made[other])


def test_how_a_picture_is_fitted_matters(folder: Path) -> None:
    cropped, padded = (frames(folder, "--image", "a.png", "--fit", fit) for fit in ("crop", "pad"))
    assert not np.array_equal(cropped, padded)


def test_a_run_that_shows_nothing_but_what_was_given_says_so(folder: Path) -> None:
    assert "nothing in a video of 1 s is new" not in generate("a", *TINY, "--image", "a.png", "-o", "b.npy", cwd=folder)
    picture = (*TINY, "--image", "a.png", "--seconds", "0.5", "-o", "b.npy")
    assert "nothing in a video of 0.5 s is new" in generate("a", *picture, cwd=folder)


def test_a_clip_of_a_picture(folder: Path) -> None:
    arguments = ("--model", "wan-i2v", "--preset", "tiny-random", "--seconds", "0.5", "-o", "clip.npy")
    generate("a ball", *arguments, "--image", "a.png", cwd=folder)
    assert np.load(folder / "clip.npy").shape[0] == 8
    assert "--image" in generate("a ball", *arguments, cwd=folder, code=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*TINY, "--image", "missing.png"), "There is no file 'missing.png'"),
        ((*TINY, "--image", "broken"), "cannot be read as a picture"),
        ((*TINY, "--video", "broken"), "cannot be read as a video"),
        ((*TINY, "--image", "a.png", "--video", "a.mp4"), "give --image or --video"),
        ((*TINY, "--image", "a.png", "--fit", "crp"), "Did you mean 'crop'?"),
        ((*TINY, "--fit", "pad"), "give --image or --video with it"),
        (("--model", "wan-t2v", "--preset", "tiny-random", "--image", "a.png"), "does not provide 'image-prefix'"),
        (("--model", "wan-t2v", "--preset", "tiny-random", "--video", "a.mp4"), "does not provide 'video-prefix'"),
    ],
)
def test_what_cannot_begin_a_world_is_told(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in generate("a ball", *arguments, "-o", "no.npy", cwd=folder, code=2)
    assert not (folder / "no.npy").exists()


def test_from_python_frames_exclude_a_prefix() -> None:
    engine = Engine.load("self-forcing", config={"model": {"preset": "tiny-random"}})
    picture = torch.zeros(1, 20, 30, 3, dtype=torch.uint8)
    with engine.create_world("a ball", frames=picture, seed=1) as world:
        assert len(world.step().frames) == 9
    with pytest.raises(ConfigError, match="begins with frames, or with a prefix"):
        engine.create_world("a ball", frames=picture, prefix=torch.zeros(3, *engine.geometry.latent_shape))
    with pytest.raises(UnsupportedError, match="image-prefix"):
        Engine.load("wan-t2v", config={"model": {"preset": "tiny-random"}}).create_world("a ball", frames=picture)


def test_tinyworld_goes_on_from_its_own_video() -> None:
    engine = Engine.load("tinyworld")
    source = engine.create_world("a red ball bounces at sunset", seed=1)
    shown = torch.cat([source.step().frames for _ in range(3)])
    begun = engine.create_world("a red ball bounces at sunset", frames=shown[:21], seed=2)
    again = torch.cat([begun.step().frames for _ in range(3)])
    error = (again.float() - shown.float()).square().mean(dim=(1, 2, 3)).sqrt()
    assert error[:21].max() < 6, "the prefix is shown as it was, up to the VAE's error"
    assert error[21:25].max() < 12, "the next frames carry on its movement"
