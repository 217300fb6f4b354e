"""torchao's layers behind the same quantizers; torchao is looked for only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import UnsupportedError
from torch import Tensor, nn

from inferix_quant.config import Fp8Config, Int8Config
from inferix_quant.selection import linear_targets

_MODULE = "torchao.quantization"
_FIRST_FP8_CAPABILITY = (8, 9)


def torchao_int8(config: Int8Config) -> Quantizer:
    """A scale for each token and output channel, in int8. Raises `UnsupportedError` without torchao."""
    torchao = _torchao()
    return TorchaoQuantizer(config, torchao, torchao.Int8DynamicActivationInt8WeightConfig())


def torchao_fp8(config: Fp8Config, *, device: torch.device) -> Quantizer:
    """A scale for each token and output channel, in e4m3. Raises `UnsupportedError` without torchao or the hardware."""
    if config.activation != "e4m3" and "activation" in config.model_fields_set:
        raise UnsupportedError(
            f"quantizer: activations in {config.activation} were asked for, but torchao has e4m3 only. "
            'Set activation = "e4m3", or leave backend out.'
        )
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < _FIRST_FP8_CAPABILITY:
        raise UnsupportedError(
            f"quantizer: torchao multiplies fp8 on CUDA devices of compute capability 8.9 and later, and the device is "
            f"'{device}'. Leave backend out: this package's own layers run everywhere."
        )
    torchao = _torchao()
    return TorchaoQuantizer(
        config, torchao, torchao.Float8DynamicActivationFloat8WeightConfig(granularity=torchao.PerRow())
    )


class TorchaoQuantizer:
    """Implements the core's `Quantizer`: layers stay `nn.Linear`, and their weights are torchao's tensors."""

    def __init__(self, config: Int8Config, torchao: Any, scheme: Any) -> None:
        self._config = config
        self._torchao = torchao
        self._scheme = scheme

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        """See `Quantizer.targets`: see `linear_targets`."""
        return linear_targets(modules, self._config)

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        """See `Quantizer.replace`."""
        assert isinstance(module, nn.Linear), "targets are linear layers"
        return _empty_linear(module.out_features, module.in_features, bias=module.bias is not None)

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        """See `Quantizer.load`."""
        if name.rpartition(".")[2] != "weight":
            return {name: tensor}
        linear = _empty_linear(*tensor.shape, bias=False)
        linear.weight = nn.Parameter(tensor, requires_grad=False)
        self._torchao.quantize_(nn.Sequential(linear), self._scheme)
        return {name: linear.weight.detach()}


def _empty_linear(out_features: int, in_features: int, *, bias: bool) -> nn.Linear:
    return nn.Linear(in_features, out_features, bias=bias, device="meta").requires_grad_(False)


def _torchao() -> Any:
    try:
        return importlib.import_module(_MODULE)
    except ImportError as error:
        raise UnsupportedError(
            f"quantizer: backend = 'torchao' was asked for, but torchao cannot be imported ({error}). "
            "Try: pip install 'inferix-quant[torchao]'. Or leave backend out: this package's own layers need nothing."
        ) from error
