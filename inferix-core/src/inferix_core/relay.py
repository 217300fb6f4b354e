"""The relay: passes an engine's moments on to the plugins that take part in them.

Wrappers (`inferix_run_block`, `inferix_run_pass`) go around the body of a `with`: each is started in
order, the body runs, and they end in reverse. A failure of the body is thrown into them, and what a
wrapper raises goes on; a wrapper cannot swallow a failure, since there would be no block to go on with.
Observers (`inferix_frames`, `inferix_report`) are isolated: one that raises is dropped with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pluggy
from loguru import logger

from inferix_core.catalog.hooks import FaultyPluginError, new_plugin_manager, register_checked
from inferix_core.errors import PluginError

if TYPE_CHECKING:
    from inferix_core.events import Block, BlockRun, PassRun

_Wrapper = tuple[str, Callable[..., Any], bool]
"""The plugin's name, its generator function, and whether that takes the run."""

_NOTHING_TO_DO = nullcontext()


class Relay:
    """The plugins of one engine. Costs nothing where no plugin takes part."""

    def __init__(self) -> None:
        self._manager = new_plugin_manager()
        self._run_block: tuple[_Wrapper, ...] = ()
        self._run_pass: tuple[_Wrapper, ...] = ()
        self._frames: tuple[pluggy.HookImpl, ...] = ()
        self._report: tuple[pluggy.HookImpl, ...] = ()

    def register(self, plugin: object, name: str) -> None:
        """Adds a plugin. Raises `PluginError` and adds nothing if one of its hooks is not what it should be."""
        try:
            register_checked(self._manager, plugin, name)
        except FaultyPluginError as error:
            raise PluginError(f"'{name}' cannot take part in a run: {error}") from error
        hook = self._manager.hook
        self._run_block = _wrappers(hook.inferix_run_block)
        self._run_pass = _wrappers(hook.inferix_run_pass)
        self._frames = tuple(reversed(hook.inferix_frames.get_hookimpls()))
        self._report = tuple(reversed(hook.inferix_report.get_hookimpls()))

    def run_block(self, run: BlockRun) -> AbstractContextManager[None]:
        """Goes around the making of one block."""
        return _Wrapped(self._run_block, run) if self._run_block else _NOTHING_TO_DO

    def run_pass(self, run: PassRun) -> AbstractContextManager[None]:
        """Goes around one pass."""
        return _Wrapped(self._run_pass, run) if self._run_pass else _NOTHING_TO_DO

    def frames(self, block: Block) -> None:
        """Shows a block to the observers."""
        if self._frames:
            self._frames = _tell(self._frames, block)

    def report(self, summary: Mapping[str, Any]) -> None:
        """Shows what a finished run measured to the observers."""
        if self._report:
            self._report = _tell(self._report, summary)


class _Wrapped:
    """Wrappers around one body."""

    __slots__ = ("_run", "_started", "_wrappers")

    def __init__(self, wrappers: tuple[_Wrapper, ...], run: object) -> None:
        self._wrappers = wrappers
        self._run = run
        self._started: list[tuple[str, Generator[None, object, object]]] = []

    def __enter__(self) -> None:
        try:
            for name, function, takes_run in self._wrappers:
                generator = function(self._run) if takes_run else function()
                try:
                    next(generator)
                except StopIteration:
                    raise PluginError(f"A wrapper of '{name}' ended before it yielded. It must yield once.") from None
                self._started.append((name, generator))
        except BaseException as error:  # whoever has started must end, whatever went wrong
            outcome = self._ended(error)
            if outcome is error:
                raise
            raise outcome from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        outcome = self._ended(error)
        if outcome is not None and outcome is not error:
            raise outcome

    def _ended(self, error: Any) -> Any:
        """Ends the started wrappers in reverse; the failure that remains, or None."""
        for name, generator in reversed(self._started):
            try:
                if error is None:
                    next(generator)
                else:
                    generator.throw(error)
            except StopIteration:
                continue
            except BaseException as raised:  # a wrapper may turn one failure into another, Ctrl-C included
                error = raised
                continue
            generator.close()
            if error is None:
                error = PluginError(f"A wrapper of '{name}' yielded twice. It must yield once.")
        return error


def _wrappers(caller: pluggy.HookCaller) -> tuple[_Wrapper, ...]:
    # pluggy lists the outermost last.
    return tuple(
        (implementation.plugin_name, implementation.function, bool(implementation.argnames))
        for implementation in reversed(caller.get_hookimpls())
    )


def _tell(observers: tuple[pluggy.HookImpl, ...], subject: object) -> tuple[pluggy.HookImpl, ...]:
    """Calls every observer; those that remain."""
    remaining = []
    for observer in observers:
        try:
            observer.function(subject) if observer.argnames else observer.function()
        except Exception as error:  # an observer's fault must not cost the user a run
            logger.warning(f"'{observer.plugin_name}' failed while observing and is dropped: {error!r}")
        else:
            remaining.append(observer)
    return tuple(remaining)
