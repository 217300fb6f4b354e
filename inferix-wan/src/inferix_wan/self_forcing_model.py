"""Self Forcing as a model: the causal Wan transformer with a checkpoint's weights, or random ones."""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.errors import CheckpointError, ConfigError

from inferix_wan.config import SelfForcingConfig
from inferix_wan.initialisation import initialise
from inferix_wan.model import WanModel
from inferix_wan.sizes import TRANSFORMERS
from inferix_wan.text import RandomTextEncoder
from inferix_wan.transformer.config import TransformerConfig
from inferix_wan.transformer.transformer import CausalWanTransformer
from inferix_wan.weights import fill_weights


class SelfForcingModel(WanModel):
    """A `WanModel` built from its configuration.

    Raises `ConfigError` for a configuration without weights and `CheckpointError` for weights that do not fit.
    """

    def __init__(self, config: SelfForcingConfig, *, device: torch.device, dtype: torch.dtype) -> None:
        dimensions = TRANSFORMERS[config.size]
        with torch.device("meta"):
            transformer = CausalWanTransformer(dimensions)
        # The sizes are checked before any weights are read or made.
        super().__init__(
            transformer,
            text_encoder=_text_encoder(config, dimensions, device=device, dtype=dtype),
            height=config.height,
            width=config.width,
            fps=config.fps,
        )
