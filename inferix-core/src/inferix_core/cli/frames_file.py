"""Pictures and videos that a world begins with, read from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def read_picture(path: Path) -> Tensor:
    """A picture as `[1, h, w, 3]` uint8. Raises `ConfigError` for a file that is missing or none (extra: media)."""
    import numpy as np
    import torch

    image = _imported("PIL.Image", package="pillow")
    try:
        with image.open(_there(path)) as picture:
            pixels = np.array(picture.convert("RGB"))
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise ConfigError(f"'{path}' cannot be read as a picture: {error}. Give a PNG or a JPEG, say.") from error
    return torch.from_numpy(pixels).unsqueeze(0)


def read_video(path: Path) -> Tensor:
    """A video's frames as `[T, h, w, 3]` uint8. Raises `ConfigError` for a file that is missing or none."""
    import numpy as np
    import torch

    av = _imported("av", package="av")
    try:
        with av.open(str(_there(path))) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ConfigError(f"'{path}' cannot be read as a video: {error}. Give an mp4 with H.264, say.") from error
    if not frames:
        raise ConfigError(f"The video '{path}' has no frames.")
    return torch.from_numpy(np.stack(frames))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"There is no file '{path}' (looked from {Path.cwd()}).")
    return path


def _imported(module: str, *, package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"Reading this needs {package}: pip install {package} (or inferix-stream).") from error
