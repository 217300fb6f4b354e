"""Live worlds: a server with a page on which anyone can watch and steer a world, and a client for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferix_serve.client import Client as Client
    from inferix_serve.client import RemoteWorld as RemoteWorld
    from inferix_serve.settings import Limits as Limits
    from inferix_serve.settings import ServeSettings as ServeSettings

_HOMES = {
    "Client": "inferix_serve.client",
    "RemoteWorld": "inferix_serve.client",
    "Limits": "inferix_serve.settings",
    "ServeSettings": "inferix_serve.settings",
}

__all__ = ["Client", "Limits", "RemoteWorld", "ServeSettings"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
