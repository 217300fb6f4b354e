"""Quantizers replace layers before their weights arrive and pack each weight as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class Quantizer(Protocol):
    """Built as `implementation(config, *, device)`; raises `UnsupportedError` for what cannot run there.

    One is asked for one network, in this order: `targets`, `replace` for each of them, `load` for each of their
    tensors. `inferix_core.weights.assign_weights` does so.
    """

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        """The names to replace, of all of a network's modules by name: some of those without children.

        The modules may be on the meta device. Names and shapes of tensors would not do: an embedding's table looks
        like a layer's weight. Raises `ConfigError` where the configuration does not fit the network.
        """

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        """The module that stands in for the target `module`, on the meta device; `module` is left as it is."""

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """The tensors of the stand-in's state dict that one arriving tensor of a target becomes, by full names.

        `name` is the full name as well, e.g. `blocks.0.ffn.0.weight`; `tensor` is on the network's device and in its
        dtype and is neither modified nor kept alive by the result, unless it is the result.
        """
