"""Self Forcing as a model: the causal Wan transformer with a checkpoint's weights, or random ones."""

from __future__ import annotations

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import UnsupportedError
from inferix_core.weights import assign_weights

from inferix_wan.config import SelfForcingConfig, checkpoint_path
from inferix_wan.geometry import wan_geometry
from inferix_wan.initialisation import random_weights
from inferix_wan.model import WanModel
from inferix_wan.sizes import TRANSFORMERS
from inferix_wan.text import RandomTextEncoder, TextEncoder
from inferix_wan.transformer.transformer import CausalWanTransformer
from inferix_wan.weights import check_weights, load_weights


class SelfForcingModel(WanModel):
    """A `WanModel` built from its configuration.

    Raises, before weights are read: `ConfigError` for sizes or weights that cannot be used, `CheckpointError` for a
    checkpoint that does not fit, `UnsupportedError` for one without a text encoder.
    """

    def __init__(
        self,
        config: SelfForcingConfig,
        *,
        device: torch.device,
        dtype: torch.dtype,
        quantizer: Quantizer | None = None,
        text_encoder: TextEncoder | None = None,
    ) -> None:
        dimensions = TRANSFORMERS[config.size]
        geometry = wan_geometry(dimensions, height=config.height, width=config.width, fps=config.fps)
        with torch.device("meta"):
            transformer = CausalWanTransformer(dimensions)
        checkpoint = checkpoint_path(config, section="model")
        if checkpoint is not None:
            check_weights(transformer, checkpoint)
            if text_encoder is None:
                raise UnsupportedError(
                    f"'{checkpoint}' needs the UMT5 text encoder, which this version of inferix-wan does not bring "
                    'yet. Give SelfForcingModel a text_encoder from Python, or set model.weights to "random" for a '
                    "bench."
                )
            load_weights(transformer, checkpoint, device=device, dtype=dtype, quantizer=quantizer)
        else:
            arriving = random_weights(transformer, seed=config.weights_seed, device=device, dtype=dtype)
            assign_weights(transformer, arriving, quantizer=quantizer)
            text_encoder = text_encoder or RandomTextEncoder(
                text_dim=dimensions.text_dim, text_len=dimensions.text_len, device=device, dtype=dtype
            )
        super().__init__(transformer, text_encoder=text_encoder, geometry=geometry)
