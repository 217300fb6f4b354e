"""Which layers of a network are quantised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferix_core.errors import ConfigError, nearest
from torch import nn

from inferix_quant.config import Int8Config


def linear_targets(modules: Mapping[str, nn.Module], config: Int8Config) -> list[str]:
    """The plain linear layers that are not excluded. Subclasses of `nn.Linear` compute in ways of their own.

    Raises `ConfigError` if nothing is left, or if an exclusion that the user gave matches nothing: what it was meant
    for would be quantised in silence.
    """
    if "exclude" in config.model_fields_set:
        _check_exclusions(modules, config.exclude)
    targets = [
        name
        for name, module in modules.items()
        if type(module) is nn.Linear and not any(_is_in(name, exclusion) for exclusion in config.exclude)
    ]
    if not targets:
        num_layers = sum(type(module) is nn.Linear for module in modules.values())
        raise ConfigError(
            f"quantizer: nothing is left to quantise. The model has {num_layers} linear layers, and exclude = "
            f"{list(config.exclude)} leaves none of them. Leave the quantizer out, or exclude less."
        )
    return targets


def _check_exclusions(modules: Mapping[str, nn.Module], exclusions: Sequence[str]) -> None:
    for exclusion in exclusions:
        if not any(_is_in(name, exclusion) for name in modules):
            parts = sorted({part for name in modules for part in name.split(".") if not part.isdigit()})
            raise ConfigError(
                f"quantizer.exclude: '{exclusion}' matches no module of the model.{nearest(exclusion, parts)} "
                f"Its modules are called {', '.join(parts)}."
            )


def _is_in(name: str, exclusion: str) -> bool:
    return f".{exclusion}." in f".{name}."
