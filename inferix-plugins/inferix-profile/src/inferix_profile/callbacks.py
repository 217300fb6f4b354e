"""Custom metrics: callbacks that are given each block and return numbers by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping

from inferix_core.errors import ConfigError
from inferix_core.events import Block
from loguru import logger

Callback = Callable[[Block], Mapping[str, float]]


class Callbacks:
    """Asks every callback for its numbers; one that fails is dropped with a warning."""

    def __init__(self) -> None:
        self._callbacks: list[Callback] = []

    def add(self, callback: Callback) -> None:
        """Asks this one from the next block on."""
        self._callbacks.append(callback)

    def numbers(self, block: Block) -> Iterator[tuple[str, float]]:
        """What the callbacks say of a block."""
        for callback in tuple(self._callbacks):
            try:
                found = {str(name): float(value) for name, value in callback(block).items()}
            except Exception as error:  # the user's own code: its fault must not cost the run or the other metrics
                logger.warning(f"The metric callback {callback!r} failed and is dropped: {error!r}")
                self._callbacks.remove(callback)
            else:
                yield from found.items()


def imported_callback(path: str) -> Callback:
    """The callback at `module:function`. Raises `ConfigError` if there is none."""
    module_name, _, attribute = path.partition(":")
    try:
        callback: Callback = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"profilers: metrics names '{path}', which cannot be imported: {error}. Write 'module:function', "
            "with a module that Python finds."
        ) from error
    if not callable(callback):
        raise ConfigError(f"profilers: metrics names '{path}', which is a {type(callback).__name__} and no function.")
    return callback
