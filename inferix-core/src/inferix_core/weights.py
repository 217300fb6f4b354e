"""Weights into a network, one tensor at a time, packed by a quantizer on the way if there is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from inferix_core.errors import PluginError

if TYPE_CHECKING:
    from inferix_core.contracts.quantizer import Quantizer


def assign_weights(
    network: nn.Module, arriving: Iterable[tuple[str, Tensor]], *, quantizer: Quantizer | None = None
) -> None:
    """Puts `arriving` tensors, in the dtype and on the device where they are to stay, in place of the network's.

    `arriving` yields each tensor of the network's state dict once, best made when it is asked for: what a quantizer
    packs is let go before the next one is, so that peak memory is one packed copy and one layer. The network is best
    on the meta device; it is ready to run without gradients afterwards.

    Raises `PluginError` if a quantizer's tensors do not fit its modules, and what `arriving` raises; the network is
    then as it was.
    """
    stand_ins = _stand_ins(network, quantizer) if quantizer is not None else {}
    loaded: dict[str, Tensor] = {}
    for name, tensor in arriving:
        if quantizer is not None and name.rpartition(".")[0] in stand_ins:
            loaded.update(quantizer.load(name, tensor))
        else:
            loaded[name] = tensor
        del tensor  # the next one is read while this loop variable would still hold it
    _check_packed(stand_ins, loaded, quantizer)
    for name, module in stand_ins.items():
        network.set_submodule(name, module)
    network.load_state_dict(loaded, strict=True, assign=True)
    network.requires_grad_(False).eval()


def _stand_ins(network: nn.Module, quantizer: Quantizer) -> dict[str, nn.Module]:
    modules = {name: module for name, module in network.named_modules() if name}
    targets = quantizer.targets(modules)
    unfit = [name for name in targets if name not in modules or next(modules[name].children(), None) is not None]
    if unfit:
        raise PluginError(
            f"{type(quantizer).__name__} would replace {', '.join(unfit)}, which are no modules without children. "
            "Tell its authors."
        )
    return {name: quantizer.replace(name, modules[name]) for name in targets}


def _check_packed(stand_ins: dict[str, nn.Module], loaded: dict[str, Tensor], quantizer: Quantizer | None) -> None:
    for name, module in stand_ins.items():
        expected = {f"{name}.{key}": tuple(value.shape) for key, value in module.state_dict().items()}
        found = {key: tuple(value.shape) for key, value in loaded.items() if key.rpartition(".")[0] == name}
        if expected != found:
            raise PluginError(
                f"{type(quantizer).__name__} made {found} of the weights of '{name}', whose stand-in takes {expected}. "
                "Tell its authors."
            )
