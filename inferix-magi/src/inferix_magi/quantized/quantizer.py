"""The quantizer `magi-fp8`: takes the official fp8 weights as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from inferix_core.errors import CheckpointError, ConfigError
from inferix_core.specs import ComponentConfig
from torch import Tensor, nn

from inferix_magi.quantized.layers import is_packed_layer, is_smoothed
from inferix_magi.quantized.linear import CODES, PackedLinear

_LAYERS = "videodit_blocks.layers."


class PackedWeights:
    """Implements the core's `Quantizer`. Nothing is packed here: tensors of packed layers go where they belong.

    It runs anywhere: where there is no fp8 kernel, products are made in float32.
    """

    def __init__(self, config: ComponentConfig, *, device: torch.device) -> None:
        self._config = config

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        """See `Quantizer.targets`: the packed layers of a MAGI-1 transformer.

        Raises `ConfigError` for a network that has none.
        """
        num_layers = 1 + max((int(name.split(".")[2]) for name in modules if name.startswith(_LAYERS)), default=-1)
        targets = [name for name in modules if is_packed_layer(name, num_layers=num_layers)]
        if not targets:
            raise ConfigError(
                "quantizer: 'magi-fp8' takes the fp8 weights of MAGI-1, and this network has no layers for them. "
                "Leave the quantizer out, or use it with the model 'magi' of three layers or more."
            )
        return targets

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        """See `Quantizer.replace`."""
        assert isinstance(module, nn.Linear), "targets are linear layers"
        return PackedLinear(module, is_smoothed=is_smoothed(name))

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """See `Quantizer.load`. Raises `CheckpointError` for a weight that is not packed."""
        part = name.rpartition(".")[2]
        if part == "weight" and tensor.dtype != CODES:
            raise CheckpointError(
                f"quantizer: 'magi-fp8' takes fp8 weights as they are, but {name} is "
                f"{str(tensor.dtype).removeprefix('torch.')}. Give the folder inference_weight.fp8.distill, or leave "
                "the quantizer out."
            )
        if part in ("weight", "smooth_scale"):
            tensor = tensor.squeeze(0)  # the files have a leading axis of 1
        return {name: tensor if part == "weight" else tensor.float()}
