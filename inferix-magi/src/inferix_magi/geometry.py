"""Frame sizes to latents and tokens; free of torch."""

from __future__ import annotations

from inferix_core.errors import ConfigError
from inferix_core.plan import FieldShape, Geometry, KVLayout

from inferix_magi.transformer.config import TransformerConfig

SPATIAL_STRIDE = 8
"""Rows and columns of pixels that the VAE makes one latent position of."""
TEMPORAL_STRIDE = 4
"""Frames that the VAE makes one latent of, the first as well."""


def magi_geometry(config: TransformerConfig, *, height: int, width: int, fps: float) -> Geometry:
    """What a transformer makes of frames of `height` x `width` pixels.

    Raises `ConfigError` for a size that makes no whole tokens, or only one row or column of them.
    """
    _, patch_rows, patch_columns = config.patch_size
    faults = [
        fault
        for name, size, patch in (("height", height, patch_rows), ("width", width, patch_columns))
        if (fault := _fault(name, size, SPATIAL_STRIDE * patch))
    ]
    if faults:
        raise ConfigError(f"A frame {', and a '.join(faults)}.")
    rows, columns = height // SPATIAL_STRIDE, width // SPATIAL_STRIDE
    return Geometry(
        latent_shape=(config.latent_channels, rows, columns),
        tokens_per_latent=(rows // patch_rows) * (columns // patch_columns),
        frame_height=height,
        frame_width=width,
        fps=fps,
        num_frames_first=TEMPORAL_STRIDE,
        num_frames_per_latent=TEMPORAL_STRIDE,
    )


def magi_layout(config: TransformerConfig, geometry: Geometry) -> KVLayout:
    """What the transformer keeps of each token: its keys and values."""
    field = FieldShape((config.num_kv_heads, config.head_dim))
    return KVLayout(config.num_layers, geometry.tokens_per_latent, {"k": field, "v": field})


def _fault(name: str, size: int, multiple: int) -> str:
    """What is wrong with a side; empty if nothing is. Positions of a single row or column are not defined."""
    if size % multiple == 0 and size >= 2 * multiple:
        return ""
    below = size - size % multiple
    accepted = f"{below} or {below + multiple}" if below >= 2 * multiple else f"{2 * multiple} or more"
    return f"{name} of {size} pixels was asked for, but this model makes multiples of {multiple}: use {accepted}"
