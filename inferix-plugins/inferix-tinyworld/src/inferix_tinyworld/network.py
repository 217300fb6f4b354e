"""The weights of tinyworld: a small causal Wan transformer with the tables of its words and actions.

Letters: T words, A action tokens.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from inferix_core.errors import CheckpointError
from inferix_wan.transformer.config import TransformerConfig
from inferix_wan.transformer.transformer import CausalWanTransformer
from torch import nn

from inferix_tinyworld.meanings import MEANINGS
from inferix_tinyworld.scene import ACTIONS

TEXT = "text"
ACTION = "action"


class TinyWorldNetwork(nn.Module):
    """Everything that the `dit` stage trains."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = CausalWanTransformer(config)
        self.words = nn.Embedding(len(MEANINGS), config.text_dim)
        self.actions = nn.Embedding(len(ACTIONS), config.dim)
        """One condition token for each action, at the transformer's width."""


def network_config(
    *, dim: int, ffn_dim: int, num_heads: int, num_layers: int, text_dim: int = 64, text_len: int = 6
) -> TransformerConfig:
    """The shape of a tinyworld transformer."""
    return TransformerConfig(
        dim=dim,
        ffn_dim=ffn_dim,
        num_heads=num_heads,
        num_layers=num_layers,
        text_dim=text_dim,
        text_len=text_len,
        condition_parts=(TEXT, ACTION),
    )


def write_config(config: TransformerConfig, path: Path) -> None:
    """Writes the shape as JSON."""
    path.write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")


def read_config(path: Path) -> TransformerConfig:
    """The shape that `write_config` wrote. Raises `CheckpointError` if there is none that can be read."""
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        return TransformerConfig(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"The shape of the network is read from '{path}', which cannot be used: {error}. A checkpoint of tinyworld "
            "comes with a .json of the same name beside it; the training stage writes both."
        ) from error


def meta_network(config: TransformerConfig) -> TinyWorldNetwork:
    """The network without weights."""
    with torch.device("meta"):
        return TinyWorldNetwork(config)
