"""What the quantizers of this package have in common: they pack the weights of linear layers and keep the biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from inferix_quant.config import Int8Config
from inferix_quant.selection import linear_targets


class LinearQuantizer:
    """Implements the core's `Quantizer`.

    `stand_in` makes the layer that takes a linear one's place, on the meta device; `pack` makes what it stores as
    `weight` and `weight_scale` of a weight [N, K].
    """

    def __init__(
        self,
        config: Int8Config,
        *,
        stand_in: Callable[[nn.Linear], nn.Module],
        pack: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> None:
        self._config = config
        self._stand_in = stand_in
        self._pack = pack

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        """See `Quantizer.targets`: see `linear_targets`."""
        return linear_targets(modules, self._config)

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        """See `Quantizer.replace`."""
        assert isinstance(module, nn.Linear), "targets are linear layers"
        return self._stand_in(module)

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """See `Quantizer.load`."""
        if name.rpartition(".")[2] != "weight":
            return {name: tensor}
        codes, scale = self._pack(tensor)
        return {name: codes, f"{name}_scale": scale}
