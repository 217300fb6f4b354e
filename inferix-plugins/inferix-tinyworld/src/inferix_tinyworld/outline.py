"""What tinyworld is without its weights."""

from __future__ import annotations

from inferix_core.contracts.workload import Outline
from inferix_wan.geometry import wan_geometry
from inferix_wan.outline import outline_of

from inferix_tinyworld.config import TinyWorldConfig
from inferix_tinyworld.network import read_config
from inferix_tinyworld.scene import FPS, SIZE
from inferix_tinyworld.shipped import NETWORK, weights_path


def outline(config: TinyWorldConfig) -> Outline:
    """The configured model. Raises `CheckpointError` where the shape beside its weights cannot be read."""
    shape = read_config(weights_path(config.checkpoint, embedded=NETWORK).with_suffix(".json"))
    return outline_of(shape, wan_geometry(shape, height=SIZE, width=SIZE, fps=FPS))
