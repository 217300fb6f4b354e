"""Inferix: an inference engine for block-diffusion world models, made of plugins.

Importing this package imports no tensor library; the names below are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog as Catalog
    from inferix_core.configuration import ResolvedConfig as ResolvedConfig
    from inferix_core.configuration import apply_overrides as apply_overrides
    from inferix_core.configuration import load_toml as load_toml
    from inferix_core.configuration import resolve as resolve
    from inferix_core.errors import CapacityError as CapacityError
    from inferix_core.errors import CheckpointError as CheckpointError
    from inferix_core.errors import ConfigError as ConfigError
    from inferix_core.errors import InferixError as InferixError
    from inferix_core.errors import OutputError as OutputError
    from inferix_core.errors import PlanError as PlanError
    from inferix_core.errors import PluginError as PluginError
    from inferix_core.errors import SignalError as SignalError
    from inferix_core.errors import UnknownPluginError as UnknownPluginError
    from inferix_core.errors import UnsupportedError as UnsupportedError
    from inferix_core.errors import WorldFileError as WorldFileError
    from inferix_core.errors import WriteError as WriteError
    from inferix_core.events import Block as Block
    from inferix_core.runtime.engine import Engine as Engine
    from inferix_core.runtime.world import World as World
    from inferix_core.script import load_script as load_script
    from inferix_core.signals import Signal as Signal
    from inferix_core.signals import TimedSignal as TimedSignal

__version__ = "0.2.0"

_HOMES = {
    "inferix_core.catalog": ("Catalog",),
    "inferix_core.configuration": ("ResolvedConfig", "apply_overrides", "load_toml", "resolve"),
    "inferix_core.errors": (
        "CapacityError",
        "CheckpointError",
        "ConfigError",
        "InferixError",
        "OutputError",
        "PlanError",
        "PluginError",
        "SignalError",
        "UnknownPluginError",
        "UnsupportedError",
        "WorldFileError",
        "WriteError",
    ),
    "inferix_core.events": ("Block",),
    "inferix_core.runtime.engine": ("Engine",),
    "inferix_core.runtime.world": ("World",),
    "inferix_core.script": ("load_script",),
    "inferix_core.signals": ("Signal", "TimedSignal"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]

logger.disable("inferix_core")  # quiet as a library; a program that wants the log enables it


def __getattr__(name: str) -> Any:
    """A public name, imported from its module now."""
    if (module := _HOME_OF.get(name)) is None:
        raise AttributeError(f"module 'inferix_core' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return list(__all__)
