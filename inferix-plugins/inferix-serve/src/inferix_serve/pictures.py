"""Pictures: JPEGs of frames, and guarded decoding of what strangers upload."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from inferix_serve.problems import RefusedError, too_large

if TYPE_CHECKING:
    from inferix_serve.hall.events import Frames

FORMATS = ("JPEG", "PNG", "WEBP")
_BIT_PIXELS = 4
_NUM_BITS = 24


def jpeg(frame: Frames, *, quality: int, max_side: int | None = None) -> bytes:
    """A frame `[H, W, 3]` uint8 as JPEG, made smaller where a side is longer than `max_side`."""
    picture = Image.fromarray(frame)
    if max_side is not None:
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return content.getvalue()


def decoded(content: bytes, *, max_pixels: int) -> Frames:
    """An uploaded JPEG, PNG or WebP as `[1, h, w, 3]` uint8.

    The header is read first; a picture with more pixels is refused before any is decoded. Raises `RefusedError`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is asked below
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                if picture.width * picture.height > max_pixels:
                    raise too_large(
                        "picture_too_large",
                        f"The picture has {picture.width} × {picture.height} pixels; {max_pixels} are taken.",
                        max_pixels,
                    )
                upright = ImageOps.exif_transpose(picture)  # cameras write how they were held
                return np.asarray(upright.convert("RGB"), dtype=np.uint8)[None].copy()
    except RefusedError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, which it asks first
        raise too_large(
            "picture_too_large", f"The picture is far larger than {max_pixels} pixels.", max_pixels
        ) from error
    except UnidentifiedImageError as error:
        raise RefusedError(415, "picture_format", f"That is no picture. {', '.join(FORMATS)} are taken.") from error
    except Exception as error:  # decoders of foreign bytes raise all kinds of errors
        raise RefusedError(422, "picture_damaged", "The picture is damaged and cannot be decoded.") from error


def marked(frame: Frames, number: int) -> Frames:
    """A copy with the frame's number painted into its top left as 24 bits of 4 × 4 pixels, for measuring."""
    painted = frame.copy()
    width = min(_NUM_BITS * _BIT_PIXELS, frame.shape[1])
    for bit in range(width // _BIT_PIXELS):
        value = 255 if number >> bit & 1 else 0
        painted[:_BIT_PIXELS, bit * _BIT_PIXELS : (bit + 1) * _BIT_PIXELS] = value
    return painted
