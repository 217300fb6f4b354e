"""What every command of one invocation shares."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from loguru import logger

from inferix_core.catalog import Catalog


@dataclass(slots=True)
class Session:
    """The catalog, whether failures are shown with their traceback, and the whole command line without the program.

    Commands find it as `context.obj`.
    """

    catalog: Catalog
    debug: bool = False
    arguments: tuple[str, ...] = ()

    def enable_debug(self) -> None:
        """Shows tracebacks and the whole log from here on."""
        self.debug = True
        show_log("DEBUG")


def show_log(level: str) -> None:
    """Sends the log of the core and of every plugin to stderr from `level` on."""
    logger.remove()
    logger.add(sys.stderr, level=level, format="<level>{level.name:<7}</level> {message}")
    logger.enable("")
