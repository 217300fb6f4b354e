"""The codec that keeps pages as they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from inferix_core.plan import KVLayout
from inferix_core.specs import ComponentConfig


class NoCodec:
    """Stored fields are the fields. An engine leaves it out of the way (it provides "identity")."""

    num_exact_sink_latents = 0
    num_exact_recent_latents = 0

    def __init__(self, config: ComponentConfig, *, layout: KVLayout, dtype: torch.dtype) -> None:
        self.layout = layout

    def encode(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `KVCodec.encode`."""
        return dict(fields)

    def decode(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `KVCodec.decode`."""
        return dict(stored)
