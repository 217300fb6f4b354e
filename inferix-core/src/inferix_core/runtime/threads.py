"""How many CPU threads torch uses, for the length of a body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Threads:
    """CPU threads of the network and of the decoder; None leaves torch's own number."""

    network: int | None = None
    decoder: int | None = None


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Runs the body with `count` threads and goes back to as many as before; None changes nothing.

    Other Python threads keep theirs. Networks of many small products run fastest on one thread, convolutions of whole
    frames on all of them.
    """
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def settle_threads() -> None:
    """Makes the calling thread's number that of threads which are still to be started.

    The number is each thread's own, but whoever sets one last sets what new threads begin with.
    """
    torch.set_num_threads(torch.get_num_threads())
