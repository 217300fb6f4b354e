"""Pictures and videos that a world begins with, read from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor


def read_picture(path: Path) -> Tensor:
    """A picture as `[1, h, w, 3]` uint8.

    Raises `ConfigError` for a file that is missing or none, `UnsupportedError` without the extra `media`.
    """
    import numpy as np
    import torch

    image = _imported("PIL.Image", package="pillow", path=path)
    operations = _imported("PIL.ImageOps", package="pillow", path=path)
    try:
        with image.open(_there(path)) as picture:
            upright = operations.exif_transpose(picture)  # cameras write how they were held
            pixels = np.array(upright.convert("RGB"))
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise ConfigError(f"'{path}' cannot be read as a picture: {error}. Give a PNG or a JPEG, say.") from error
    return torch.from_numpy(pixels).unsqueeze(0)


def read_video(path: Path) -> Tensor:
    """A video's frames as `[T, h, w, 3]` uint8. Raises as `read_picture`."""
    import numpy as np
    import torch

    av = _imported("av", package="av", path=path)
    try:
        with av.open(str(_there(path))) as container:
            if not container.streams.video:
                raise ConfigError(
                    f"'{path}' cannot be read as a video: it holds no pictures. Give an mp4 with H.264, say."
                )
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or error
        raise ConfigError(f"'{path}' cannot be read as a video: {reason}. Give an mp4 with H.264, say.") from error
    if not frames:
        raise ConfigError(f"The video '{path}' has no frames.")
    return torch.from_numpy(np.stack(frames))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"There is no file '{path}' (looked from {Path.cwd()}).")
    return path


def _imported(module: str, *, package: str, path: Path) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UnsupportedError(
            f"Reading '{path}' needs the package {package}, which cannot be imported ({error}). "
            "Try: pip install 'inferix-core[media]'."
        ) from error
