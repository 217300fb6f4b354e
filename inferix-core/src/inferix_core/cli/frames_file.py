"""Pictures and videos that a world begins with, read from files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MAX_BYTES = 4 * 2**30
"""The most that the decoded frames of a video may take."""


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
    """A video's frames as `[T, h, w, 3]` uint8, turned as their camera was held.

    Raises as `read_picture`, and `ConfigError` for more than `MAX_BYTES` of frames, before they are in memory.
    """
    import numpy as np
    import torch

    av = _imported("av", package="av", path=path)
    try:
        with av.open(str(_there(path))) as container:
            if not container.streams.video:
                raise ConfigError(
                    f"'{path}' cannot be read as a video: it holds no pictures. Give an mp4 with H.264, say."
                )
            frames = list(_within_bounds(map(_upright, container.decode(video=0)), path))
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or error
        raise ConfigError(f"'{path}' cannot be read as a video: {reason}. Give an mp4 with H.264, say.") from error
    if not frames:
        raise ConfigError(f"The video '{path}' has no frames.")
    if len(sizes := sorted({frame.shape[:2] for frame in frames})) > 1:
        found = ", ".join(f"{height}x{width}" for height, width in sizes)
        raise ConfigError(f"The video '{path}' has frames of several sizes ({found}). Encode it anew in one.")
    return torch.from_numpy(np.stack(frames))


def _upright(frame: Any) -> NDArray[Any]:
    """The pixels `[h, w, 3]` of a decoded frame; cameras write how they were held, in degrees counterclockwise."""
    import numpy as np

    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))


def _within_bounds(frames: Iterable[NDArray[Any]], path: Path) -> Iterator[NDArray[Any]]:
    num_bytes = 0
    for count, frame in enumerate(frames):
        num_bytes += frame.nbytes
        if num_bytes > MAX_BYTES:
            height, width = frame.shape[:2]
            raise ConfigError(
                f"The video '{path}' has more than {count} frames of {height}x{width}: decoded they take more than "
                f"{MAX_BYTES / 2**30:g} GiB, the most that is read. Cut it to the seconds that the world goes on from, "
                "or make its frames smaller."
            )
        yield frame


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
