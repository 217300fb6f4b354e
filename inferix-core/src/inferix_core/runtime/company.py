"""An engine among the engines of other ranks: what the driver does to a world, all of them do."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from loguru import logger

from inferix_core.contracts.model import Condition, Conditions
from inferix_core.errors import ConfigError, RankError
from inferix_core.interruption import HeldInterrupt
from inferix_core.ranks.joining import Membership, leave
from inferix_core.ranks.messages import Message
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World

_STOP = "stop"
_PREFIX, _CONDITION = "prefix", "condition."


class Company:
    """The ranks of a run as one engine sees them. Worlds have the same names on all of them."""

    def __init__(self, membership: Membership) -> None:
        assert membership.line is not None, "an engine alone has no company"
        self._line = membership.line
        self._worlds: weakref.WeakValueDictionary[str, World] = weakref.WeakValueDictionary()
        self._known: set[str] = set()
        self._follower: Follower | None = None
        self._held: HeldInterrupt | None = None
        self._leave = weakref.finalize(self, _part, membership)

    @property
    def is_driver(self) -> bool:
        """Whether this rank says what is done."""
        return self._line.is_driver

    def check_drives(self) -> None:
        """Raises `ConfigError` where someone other than the driver's messages tells a follower what to do."""
        if not self.is_driver and self._follower is None:
            raise ConfigError(
                f"Rank {self._line.rank} follows rank 0, which tells it what to do. Where engine.follows, call "
                "engine.follow() and nothing else."
            )

    @contextmanager
    def together(
        self, operation: str, told: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None
    ) -> Iterator[None]:
        """See `Line.together`. Ctrl-C waits for its end, where it fails on every rank."""
        self.check_drives()
        if self._line.is_inside:
            yield
            return
        gone = sorted(self._known - set(self._worlds))
        message = Message(operation, {**told, "gone": gone}, tensors or {})
        with self.uninterrupted() as held, self._line.together(message):
            yield
            held.deliver()
        self._known -= set(gone)

    @contextmanager
    def uninterrupted(self) -> Iterator[HeldInterrupt]:
        """Around what Ctrl-C must not leave half done: a rank that left would leave the others waiting."""
        if self._held is not None:
            yield self._held
            return
        with HeldInterrupt() as self._held:
            try:
                yield self._held
            finally:
                self._held = None

    def create(
        self,
        make: Callable[[], World],
        *,
        prompt: str | None,
        seed: int,
        prefix: Tensor | None,
        conditions: Conditions | None,
        num_blocks: int | None,
    ) -> World:
        """A new world on every rank."""
        tensors = {f"{_CONDITION}{name}": one.tokens for name, one in (conditions or {}).items()}
        if prefix is not None:
            tensors[_PREFIX] = prefix
        memos = None if conditions is None else {name: one.memo for name, one in conditions.items()}
        told = {"prompt": prompt, "seed": seed, "num_blocks": num_blocks, "memos": memos}
        return self._made(make, self.together("create", told, tensors))

    def load(self, make: Callable[[], World], path: Path) -> World:
        """The world of a file on every rank, each of which reads it."""
        return self._made(make, self.together("load", {"path": str(path.absolute())}))

    def enter(self, world: World) -> None:
        """Takes note of a world that was made."""
        self._worlds[world.id] = world
        self._known.add(world.id)

    def forget(self, world: World) -> None:
        """Takes note of a world that is closed: the followers close theirs with the next thing that they do."""
        self._worlds.pop(world.id, None)

    def follow(self, engine: Engine) -> None:
        """See `Engine.follow`."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver hears it and says what becomes of it
        self._follower = Follower(engine)
        while (message := self._line.receive()).operation != _STOP:
            try:
                self._follower.do(message)
            except Exception as error:  # the driver raises the same, or is told; then the ranks go on
                if not self._line.goes_on:
                    raise
                logger.opt(exception=error).debug("rank {} did not {}", self._line.rank, message.operation)
        self._leave()

    def leave(self) -> None:
        """Lets the followers go, and leaves."""
        self._leave()

    def _made(self, make: Callable[[], World], together: AbstractContextManager[None]) -> World:
        world: World | None = None
        try:
            with together:
                world = make()
        except BaseException:
            if world is not None:
                world.close()
            raise
        return world


class Follower:
    """Does to worlds of the same names what the driver does to its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._worlds: dict[str, World] = {}

    def do(self, message: Message) -> None:
        """What a message says; raises what it raises."""
        for name in message.data["gone"]:
            if (world := self._worlds.pop(name, None)) is not None:
                world.close()
        told = {key: value for key, value in message.data.items() if key != "gone"}
        for world in getattr(self, f"_{message.operation}")(
            **told, **({"tensors": message.tensors} if message.tensors else {})
        ):
            self._worlds[world.id] = world

    def _create(
        self,
        prompt: str | None,
        seed: int,
        num_blocks: int | None,
        memos: Mapping[str, str] | None,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> Sequence[World]:
        tensors = tensors or {}
        device = self._engine.device
        conditions = None
        if memos is not None:
            conditions = {
                name: Condition(tensors[f"{_CONDITION}{name}"].to(device), memo) for name, memo in memos.items()
            }
        prefix = tensors.get(_PREFIX)
        return [
            self._engine.create_world(prompt, seed=seed, prefix=prefix, conditions=conditions, num_blocks=num_blocks)
        ]

    def _load(self, path: str) -> Sequence[World]:
        return [self._engine.load_world(path)]

    def _step(self, worlds: Sequence[str], signals: Sequence[Mapping[str, Any] | None]) -> Sequence[World]:
        self._engine.step(
            [self._worlds[name] for name in worlds], [None if one is None else Signal(**one) for one in signals]
        )
        return ()

    def _send(self, world: str, signal: Mapping[str, Any]) -> Sequence[World]:
        self._worlds[world].send(Signal(**signal))
        return ()

    def _fork(self, world: str, num_children: int, seeds: Sequence[int] | None) -> Sequence[World]:
        return self._worlds[world].fork(num_children, seeds=seeds)

    def _rewind(self, world: str, num_blocks: int) -> Sequence[World]:
        self._worlds[world].rewind(num_blocks)
        return ()

    def _script(self, world: str, script: Mapping[str, Sequence[Mapping[str, Any]]]) -> Sequence[World]:
        told = {int(block): [Signal(**signal) for signal in signals] for block, signals in script.items()}
        self._worlds[world].follow_script(told)
        return ()

    def _reseed(self, world: str, seed: int) -> Sequence[World]:
        self._worlds[world].change_seed(seed)
        return ()

    def _save(self, world: str) -> Sequence[World]:
        self._worlds[world].save("")  # the driver writes
        return ()


@contextmanager
def building_together(membership: Membership) -> Iterator[None]:
    """Around the building of an engine: where it fails on one rank it fails on all, and they part."""
    if (line := membership.line) is None:
        yield
        return
    try:
        with line.together():
            yield
    except BaseException:
        leave(membership)
        raise


def _part(membership: Membership) -> None:
    """Lets the followers go, if this is the driver and all is well, and leaves."""
    line = membership.line
    if line is not None and line.is_driver:
        try:
            line.check()
            line.send(Message(_STOP))
            line.see_off()
        except RankError:
            logger.debug("the ranks part without a word, since one is gone")
    leave(membership)
