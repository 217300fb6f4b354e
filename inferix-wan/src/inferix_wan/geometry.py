"""Frame sizes to latents and tokens; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from inferix_core.errors import ConfigError
from inferix_core.plan import FieldShape, Geometry, KVLayout

from inferix_wan.transformer.config import TransformerConfig


def wan_geometry(
    config: TransformerConfig,
    *,
    height: int,
    width: int,
    fps: float,
    spatial_stride: int = 8,
    temporal_stride: int = 4,
) -> Geometry:
    """What a transformer makes of frames of `height` x `width` pixels, under the strides of its VAE.

    Raises `ConfigError` for a size that the spatial stride times the patch does not divide.
    """
    _, patch_rows, patch_columns = config.patch_size
    _check_sides({"height": (height, spatial_stride * patch_rows), "width": (width, spatial_stride * patch_columns)})
    rows, columns = height // spatial_stride, width // spatial_stride
    return Geometry(
        latent_shape=(config.out_channels, rows, columns),
        tokens_per_latent=(rows // patch_rows) * (columns // patch_columns),
        frame_height=height,
        frame_width=width,
        fps=fps,
        num_frames_first=1,
        num_frames_per_latent=temporal_stride,
    )


def wan_layout(config: TransformerConfig, geometry: Geometry) -> KVLayout:
    """What the transformer keeps of each token: keys and values of every head."""
    field = FieldShape((config.num_heads, config.head_dim))
    return KVLayout(config.num_layers, geometry.tokens_per_latent, {"k": field, "v": field})


def check_decoded(geometry: Geometry, *, name: str, num_channels: int, spatial_stride: int) -> None:
    """Raises `ConfigError` unless the decoder called `name` makes the model's frames of the model's latents."""
    channels, rows, columns = geometry.latent_shape
    if channels != num_channels:
        raise ConfigError(
            f"decoder: the {name} decodes latents of {num_channels} channels, but the model makes {channels}: "
            "choose the decoder that belongs to the model."
        )
    made, meant = (rows * spatial_stride, columns * spatial_stride), (geometry.frame_height, geometry.frame_width)
    if made != meant or (geometry.num_frames_first, geometry.num_frames_per_latent) != (1, 4):
        raise ConfigError(
            f"decoder: the {name} makes frames of {made[0]}x{made[1]} of these latents, 1 of the first and 4 of each "
            f"later one, but the model means {meant[0]}x{meant[1]}, {geometry.num_frames_first} and "
            f"{geometry.num_frames_per_latent}: choose the decoder that belongs to the model."
        )


def _check_sides(sides: Mapping[str, tuple[int, int]]) -> None:
    """Raises `ConfigError` that names every side whose size is no multiple of its number."""
    faults = [_fault(name, size, multiple) for name, (size, multiple) in sides.items() if size % multiple or size <= 0]
    if faults:
        raise ConfigError(f"A frame {', and a '.join(faults)}.")


def _fault(name: str, size: int, multiple: int) -> str:
    below = size - size % multiple
    accepted = f"{below} or {below + multiple}" if below > 0 else f"{multiple} or more"
    return f"{name} of {size} pixels was asked for, but this model makes multiples of {multiple}: use {accepted}"
