"""The embedded world's model and decoder keep the rules of their kinds, and the plugin those of plugins."""

from dataclasses import replace
from functools import cache

import torch
from inferix_core.plan import Geometry
from inferix_core.signals import Signal
from inferix_core.testing.suites import DecoderSuite, ModelSuite, PluginSuite
from inferix_tinyworld.config import TinyWorldConfig, TinyWorldVaeConfig
from inferix_tinyworld.decoder import TinyWorldDecoder
from inferix_tinyworld.model import TinyWorldModel

CPU = torch.device("cpu")


@cache
def tinyworld() -> TinyWorldModel:
    return TinyWorldModel(TinyWorldConfig(), device=CPU, dtype=torch.float32)


def small_geometry() -> Geometry:
    """The VAE's strides over frames of a sixteenth of the area: it decodes any size."""
    geometry = tinyworld().geometry
    channels, height, width = geometry.latent_shape
    return replace(
        geometry,
        latent_shape=(channels, height // 4, width // 4),
        frame_height=geometry.frame_height // 4,
        frame_width=geometry.frame_width // 4,
    )


@cache
def tinyworld_decoder() -> TinyWorldDecoder:
    return TinyWorldDecoder(TinyWorldVaeConfig(), geometry=small_geometry(), device=CPU, dtype=torch.float32)


class TestModel(ModelSuite):
    provides = frozenset({"token-sharding", "layer-stages"})
    prompts = ("a red ball bounces at night", "a blue box rolls at sunset")
    misunderstood = Signal(action="fly")

    def model(self) -> TinyWorldModel:
        return tinyworld()


class TestDecoder(DecoderSuite):
    tolerance = 1e-4

    def decoder(self) -> TinyWorldDecoder:
        return tinyworld_decoder()

    def geometry(self) -> Geometry:
        return small_geometry()


class TestPlugin(PluginSuite):
    module = "inferix_tinyworld.plugin"
    distribution = "inferix-tinyworld"
