"""Runs that decode a block while they denoise the next one, over every store and the codecs: the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from inferix_core.events import Block
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.world import World
from inferix_core.signals import Signal, TimedSignal

TINY = (
    "num_threads=1",
    "num_decoder_threads=1",
    "model.preset=tiny-random",
    "model.height=32",
    "model.width=48",
    "kv.policy.use=sink-window",
    "kv.policy.num_sink_latents=3",
    "kv.policy.num_window_latents=6",
    "world.num_rewind_blocks=1",
)
SIGNALS = (TimedSignal(1.5, Signal(prompt="a blue box", id="changed")),)
NUM_FRAMES = 9 + 4 * 12


def world(*overrides: str, overlap: bool) -> World:
    settings = (*TINY, *overrides, f"overlap_decode={str(overlap).lower()}")
    return Engine.load("self-forcing", overrides=settings).create_world("a red ball", seed=2)


def blocks_of(one: World) -> list[Block]:
    return list(one.run(num_frames=NUM_FRAMES, signals=SIGNALS))


@pytest.mark.parametrize(
    "overrides",
    [
        ("kv.store.use=dense",),
        ("kv.store.use=ring",),
        ("kv.store.use=paged",),
        ("kv.store.use=offload", "kv.store.num_device_latents=6"),
        ("kv.store.use=paged", "kv.codec.use=int8"),
        ("kv.store.use=paged", "kv.recache=true"),
        ("kv.store.use=paged", "kv.positions=window-relative"),
    ],
    ids=" ".join,
)
def test_frames_signals_and_log_are_the_same(overrides: tuple[str, ...]) -> None:
    plain, ahead = (world(*overrides, overlap=overlap) for overlap in (False, True))
    for one, other in zip(blocks_of(plain), blocks_of(ahead), strict=True):
        assert torch.equal(one.frames, other.frames)
        assert one.signal_ids == other.signal_ids
    assert ahead.log.digest == plain.log.digest
    assert ahead.num_kv_bytes == plain.num_kv_bytes
    for one in (plain, ahead):
        one.rewind(4)
    assert torch.equal(plain.step().frames, ahead.step().frames)


def test_a_pool_that_has_room_for_one_world_alone_is_enough() -> None:
    room = ("kv.store.use=paged", "kv.store.max_latents=9", "world.num_rewind_blocks=0")
    plain, ahead = (world(*room, overlap=overlap) for overlap in (False, True))
    for _ in range(2):  # the second run begins with a full window
        for one, other in zip(blocks_of(plain), blocks_of(ahead), strict=True):
            assert torch.equal(one.frames, other.frames)


def test_a_prompt_sent_between_blocks_rewrites_the_pages_that_a_run_without_overlap_would_hold() -> None:
    frames = []
    for overlap in (False, True):
        one = world("kv.store.use=paged", "kv.recache=true", overlap=overlap)
        run = one.run(num_frames=NUM_FRAMES)
        made = [next(run).frames for _ in range(3)]
        one.send(Signal(prompt="a blue box"))
        frames.append(torch.cat([*made, *(block.frames for block in run)]))
    assert torch.equal(frames[0], frames[1])


def test_a_world_saved_in_the_middle_of_a_run_is_the_one_that_a_run_without_overlap_saves(tmp_path: Path) -> None:
    pages = []
    for overlap in (False, True):
        one = world("kv.store.use=paged", overlap=overlap)
        run = one.run(num_frames=NUM_FRAMES)
        for _ in range(3):
            next(run)
        one.save(tmp_path / "a.world")
        loaded = one.engine.load_world(tmp_path / "a.world")
        pages.append((loaded.state.caches["main"].held, loaded.step().frames))
    assert pages[0][0] == pages[1][0]
    assert torch.equal(pages[0][1], pages[1][1])
