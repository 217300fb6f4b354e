"""A quick engine of toys, and a server over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from inferix_core import Engine
from inferix_core.testing.toy_engine import toy_engine, toy_store
from inferix_core.testing.toys import ACTIONS, ToyModel
from inferix_serve import Client
from inferix_serve.hall.hall import Hall
from inferix_serve.recording import served
from inferix_serve.settings import ServeSettings, settings_from

FPS = 80.0
NUM_BLOCK_FRAMES = 8
BLOCK_SECONDS = NUM_BLOCK_FRAMES / FPS


def quick_engine(
    *,
    num_rewind_blocks: int = 4,
    model: ToyModel | None = None,
    fps: float = FPS,
    height: int = 8,
    width: int = 16,
    **parts: Any,
) -> Engine:
    """An engine of toys whose blocks last a tenth of a second."""
    model = model or ToyModel()
    model.geometry = replace(model.geometry, fps=fps, frame_height=height, frame_width=width)
    made = toy_engine(model=model, store=toy_store(model), **parts)
    return Engine(made.parts, made.decoder, num_rewind_blocks=num_rewind_blocks)


def quick_settings(folder: Path, **table: Any) -> ServeSettings:
    """Settings whose times are as short as the blocks."""
    return settings_from({"folder": folder, "port": 0, "pause_after_seconds": 0.6, **table})


@contextmanager
def quick_hall(folder: Path, *, engine: Engine | None = None, **table: Any) -> Iterator[Hall]:
    """A hall that works."""
    hall = Hall(engine or quick_engine(), quick_settings(folder, **table), actions=ACTIONS)
    hall.start()
    try:
        yield hall
    finally:
        hall.close()


@contextmanager
def quick_server(folder: Path, *, engine: Engine | None = None, **table: Any) -> Iterator[Client]:
    """A client of a server that serves."""
    settings = quick_settings(folder, **table)
    hall = Hall(engine or quick_engine(), settings, actions=ACTIONS)
    token = None if settings.token is None else settings.token.get_secret_value()
    with served(hall) as address, Client(address, token=token) as client:
        yield client


def wait_until(is_so: Callable[[], Any], *, seconds: float = 10.0) -> None:
    """Waits until something is so; fails where it does not become so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not become so in time"
        time.sleep(0.005)
