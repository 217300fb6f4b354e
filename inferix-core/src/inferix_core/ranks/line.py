"""The line between ranks: what the driver says, and whether all have done it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from inferix_core.errors import InferixError, LostRankError, PlanError, RankError, SignalError, UnsupportedError
from inferix_core.ranks.messages import Message
from inferix_core.ranks.store import Store
from inferix_core.ranks.watch import Watch

SAME_EVERYWHERE = (PlanError, SignalError, UnsupportedError)
_SECONDS_TO_LEAVE = 10.0
_CHUNK = 4 * 2**20
"""The store refuses values of more than 8 MiB."""


class Line:
    """Rank 0 drives, the others follow. Everything goes through `store`; tensors of a pass do not.

    `connection` is another connection to the same store, for the watch.
    """

    def __init__(
        self,
        store: Store,
        connection: Store,
        *,
        rank: int,
        num_ranks: int,
        timeout_seconds: float,
        join_timeout_seconds: float = 300.0,
    ) -> None:
        self._store = store
        self.rank = rank
        self.num_ranks = num_ranks
        self._num_sent = 0
        self._num_received = 0
        self._num_agreed = 0
        self._depth = 0
        self._broken: str | None = None
        self._agreed: BaseException | None = None
        self._watch = Watch(
            connection,
            rank=rank,
            num_ranks=num_ranks,
            timeout_seconds=timeout_seconds,
            join_timeout_seconds=join_timeout_seconds,
            is_busy=lambda: self._depth > 0,
        )

    @property
    def is_driver(self) -> bool:
        """Whether this rank says what is done."""
        return self.rank == 0

    @property
    def is_inside(self) -> bool:
        """Whether the main thread is in something that all ranks do together."""
        return self._depth > 0

    def send(self, message: Message) -> None:
        """Tells the followers what is done next."""
        raw, number = message.to_bytes(), self._num_sent
        chunks = [raw[start : start + _CHUNK] for start in range(0, len(raw), _CHUNK)]
        for index, chunk in enumerate(chunks):
            self._store.set(f"say/{number}/{index}", chunk)
        self._store.set(f"say/{number}", str(len(chunks)).encode())
        self._forget(number - 1)
        self._num_sent += 1

    def receive(self) -> Message:
        """What is done next; blocks until the driver says so. Raises `RankError` when a rank is gone."""
        with self._busy():
            key = f"say/{self._num_received}"
            self._wait([key])
            num_chunks = int(self._store.get(key))
            raw = b"".join(self._store.get(f"{key}/{index}") for index in range(num_chunks))
        self._num_received += 1
        return Message.of(raw)

    @contextmanager
    def together(self, message: Message | None = None) -> Iterator[None]:
        """The body happens on every rank, or raises on every rank.

        On the driver the followers are told `message` first. Where another rank's body has raised and this one's has
        not, `RankError` is raised in its end and says what happened there. Nests: an inner one is part of the outer.
        """
        if self._depth:
            yield
            return
        self.check()
        if self.is_driver and message is not None:
            self.send(message)
        with self._busy():
            try:
                yield
            except BaseException as error:
                if self._broken is None:
                    self._agree(_told(error))
                raise
            self.agree()

    def agree(self) -> None:
        """Waits until every rank is here, and raises `RankError` if one of them has failed."""
        self._raise_failures(self._agree(""))

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """The body is small and may fail on some ranks alone; then it fails on all, and they stay in step."""
        with self._busy():
            try:
                try:
                    yield
                except Exception as error:
                    self._agree(_told(error))
                    raise
                self.agree()
            except Exception as error:
                self._agreed = error
                raise

    @contextmanager
    def collective(self) -> Iterator[None]:
        """The body talks to the other ranks by collectives: if it raises here alone they wait in vain.

        What it raises ends the run: the others are told, and where it was raised because one of them is gone, that
        rank is named. Mistakes of a plan or a signal are the same on every rank, and what `in_step` raises is too.
        """
        with self._busy():
            try:
                yield
            except BaseException as error:
                if error is self._agreed or isinstance(error, SAME_EVERYWHERE):
                    raise
                loss = self._watch.loss or (self._watch.suspect() if isinstance(error, RuntimeError) else None)
                if loss is not None:
                    self._broken = str(loss)
                    raise LostRankError(str(loss)) from error
                self._broken = f"Rank {self.rank} failed in the middle of a pass: {_told(error)}"
                self._watch.note_failure(_told(error))
                raise

    @property
    def goes_on(self) -> bool:
        """Whether no rank is gone and all are in step."""
        return self._broken is None and self._watch.loss is None

    def check(self) -> None:
        """Raises `RankError` if a rank is gone or the ranks are out of step."""
        if self._broken is not None:
            raise RankError(f"{self._broken}. The ranks are out of step since then: start the run anew.")
        if (loss := self._watch.loss) is not None:
            raise LostRankError(str(loss))

    def fail(self, error: BaseException) -> None:
        """Tells the others that this rank ends because of `error`."""
        if self._broken is None and self._watch.loss is None:
            self._watch.note_failure(_told(error))

    def see_off(self) -> None:
        """Waits until the followers have left, for a while: this rank may hold the store by which they learn of it."""
        others = [f"left/{rank}" for rank in range(self.num_ranks) if rank != self.rank]
        until = time.monotonic() + _SECONDS_TO_LEAVE
        while time.monotonic() < until and not self._store.check(others):
            time.sleep(0.02)

    def close(self) -> None:
        """Leaves in peace."""
        self._watch.close()

    def gathered(self, name: str, value: str) -> list[str]:
        """Every rank's `value`, by rank."""
        with self._busy():
            self._store.set(f"{name}/{self.rank}", value.encode())
            keys = [f"{name}/{rank}" for rank in range(self.num_ranks)]
            self._wait(keys)
            return [self._store.get(key).decode() for key in keys]

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _agree(self, failure: str) -> list[str]:
        """What went wrong on each rank, "" where nothing did."""
        number = self._num_agreed
        self._num_agreed += 1
        found = self.gathered(f"done/{number}", json.dumps(failure))
        if number:  # everyone is past the one before
            self._store.delete_key(f"done/{number - 1}/{self.rank}")
        return [json.loads(one) for one in found]

    def _raise_failures(self, failures: Sequence[str]) -> None:
        told = [f"rank {rank}: {failure}" for rank, failure in enumerate(failures) if failure]
        if told:
            raise RankError("; ".join(told))

    def _wait(self, keys: Sequence[str]) -> None:
        """Looks for the keys, ever less often, so that a rank that is gone is noticed meanwhile."""
        try:
            _until(lambda: bool(self._store.check(list(keys))), checking=self.check)
        except RuntimeError as error:  # torch's errors of stores and connections
            loss = self._watch.loss or self._watch.suspect()
            raise LostRankError(str(loss or "The store by which ranks meet is gone.")) from error

    def _forget(self, number: int) -> None:
        """Frees an earlier message, which all have read: they have agreed on its outcome since."""
        if number < 0:
            return
        for index in range(int(self._store.get(f"say/{number}"))):
            self._store.delete_key(f"say/{number}/{index}")
        self._store.delete_key(f"say/{number}")


def _until(is_there: Callable[[], bool], *, checking: Callable[[], None]) -> None:
    started, pause = time.monotonic(), 0.0002
    while not is_there():
        checking()
        time.sleep(pause)
        waited = time.monotonic() - started
        pause = 0.0002 if waited < 0.05 else 0.002 if waited < 5.0 else 0.02


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, InferixError) else f"{type(error).__name__}: {error}"
