"""Quantizers replace layers before their weights arrive and pack each weight as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class Quantizer(Protocol):
    """Built as `implementation(config)`."""

    def targets(self, manifest: Mapping[str, tuple[tuple[int, ...], str]]) -> Sequence[str]:
        """The module names to replace, chosen from the model's manifest: tensor name to (shape, dtype)."""

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        """The module that stands in for `module`, on the meta device."""

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """The stored tensors that one arriving weight becomes."""
