"""Processes of one machine as the ranks of a run, for tests."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from inferix_core.contracts.parallel import Ranks
from inferix_core.ranks.line import Line
from inferix_core.ranks.store import under

TIMEOUT_SECONDS = 60.0


def on_ranks(
    num_ranks: int, body: Callable[..., Any], *arguments: Any, timeout_seconds: float = TIMEOUT_SECONDS
) -> list[Any]:
    """What `body(ranks, *arguments)` returns on each of `num_ranks` forked processes, over gloo on the CPU.

    `body` sees all that the caller has; what it returns goes through pickle. Raises `AssertionError` with the traceback
    of the first that fails, or with the ranks that have not answered in time; no process is left then.
    """
    return _on_ranks(num_ranks, _plain, (body, *arguments), timeout_seconds)


def on_driven_ranks(
    num_ranks: int,
    body: Callable[..., Any],
    *arguments: Any,
    silence_seconds: float = 30.0,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[Any]:
    """The same for `body(ranks, line, *arguments)` on ranks of which the first drives.

    A rank counts as gone after `silence_seconds`.
    """
    return _on_ranks(num_ranks, _driven, (body, silence_seconds, *arguments), timeout_seconds)


def _plain(ranks: Ranks, store: Any, body: Callable[..., Any], *arguments: Any) -> Any:
    return body(ranks, *arguments)


def _driven(ranks: Ranks, store: Any, body: Callable[..., Any], silence_seconds: float, *arguments: Any) -> Any:
    own = under("line", store)
    line = Line(own, own.clone(), rank=ranks.rank, num_ranks=ranks.num_ranks, timeout_seconds=silence_seconds)
    return body(ranks, line, *arguments)


def _on_ranks(
    num_ranks: int, body: Callable[..., Any], arguments: tuple[Any, ...], timeout_seconds: float
) -> list[Any]:
    listener = socket.create_server(("127.0.0.1", 0))  # rank 0's store listens there: a thread here would not fork
    context = multiprocessing.get_context("fork")
    pipes: list[Connection] = []
    processes = []
    try:
        for rank in range(num_ranks):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_run, args=(theirs, rank, num_ranks, listener, body, arguments, timeout_seconds), daemon=True
            )
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        return _answers(pipes, timeout_seconds)
    finally:
        listener.close()
        for process in processes:
            process.kill()
            process.join()


def _answers(pipes: Sequence[Connection], timeout_seconds: float) -> list[Any]:
    answers: dict[int, Any] = {}
    until = time.monotonic() + timeout_seconds
    while len(answers) < len(pipes):
        waiting = [pipe for rank, pipe in enumerate(pipes) if rank not in answers]
        ready = wait(waiting, timeout=max(0.0, until - time.monotonic()))
        if not ready:
            silent = [rank for rank in range(len(pipes)) if rank not in answers]
            raise AssertionError(f"ranks {silent} have not answered in {timeout_seconds:g} s")
        for pipe in ready:
            rank = pipes.index(cast("Connection", pipe))
            try:
                is_right, answer = pickle.loads(pipes[rank].recv_bytes())
            except EOFError:
                raise AssertionError(f"rank {rank} has ended without an answer") from None
            if not is_right:
                raise AssertionError(f"rank {rank} failed:\n{answer}")
            answers[rank] = answer
    return [answers[rank] for rank in range(len(pipes))]


def _run(
    pipe: Connection,
    rank: int,
    num_ranks: int,
    listener: socket.socket,
    body: Callable[..., Any],
    arguments: tuple[Any, ...],
    timeout_seconds: float,
) -> None:
    torch.set_num_threads(1)
    try:
        timeout = timedelta(seconds=timeout_seconds)
        host, port = listener.getsockname()
        store = TCPStore(
            host,
            port,
            is_master=rank == 0,
            timeout=timeout,
            wait_for_workers=False,
            master_listen_fd=listener.detach() if rank == 0 else None,
        )
        dist.init_process_group("gloo", store=store, rank=rank, world_size=num_ranks, timeout=timeout)
        store.set(f"joined/{rank}", "1")
        store.wait([f"joined/{other}" for other in range(num_ranks)])  # one that ended now would break their joining
        answer = body(Ranks(rank, num_ranks, torch.device("cpu")), store, *arguments)
        pipe.send_bytes(
            pickle.dumps((True, answer))
        )  # torch's own pickle would share the memory of a process that ends
        store.set(f"answered/{rank}", "1")
        if rank == 0:
            store.wait([f"answered/{other}" for other in range(num_ranks)])  # they need the store until then
    except BaseException:  # whatever it is, the caller is told
        pipe.send_bytes(pickle.dumps((False, traceback.format_exc())))
    finally:
        pipe.close()
        os._exit(0)  # the caller's own exit handlers are not this process's to run
