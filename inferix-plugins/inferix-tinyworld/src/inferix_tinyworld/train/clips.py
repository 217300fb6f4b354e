"""Training clips: windows of simulated worlds with random scenes, actions and changes of scene.

Letters: B clips, T frames, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferix_tinyworld.rendering import render
from inferix_tinyworld.scene import ACTIONS, RADIUS, SIZE, Scene, all_scenes, num_block_frames
from inferix_tinyworld.simulator import Simulator

SCENES = all_scenes()
OBJECT_MARGIN = 4.0
"""Pixels around the object that still count as near it: its edge and the fringe where ghosts would show."""


@dataclass(frozen=True)
class Clips:
    """A batch of clips."""

    frames: NDArray[np.uint8]
    """[B, T, H, W, 3]"""
    near: NDArray[np.bool_]
    """Pixels on or close to the object: [B, T, H, W]."""


def sample_clips(
    rng: np.random.Generator, *, num_clips: int, num_blocks: int, size: int, scene_change: float = 0.2
) -> Clips:
    """Clips of whole blocks (9 + 12 frames each), seen through fixed windows that the object mostly visits."""
    # All clips in one simulator: its cost is per frame, not per world.
    simulator = Simulator([SCENES[index] for index in rng.integers(len(SCENES), size=num_clips)], seed=_seed(rng))
    change_blocks = [
        int(rng.integers(1, num_blocks)) if num_blocks > 1 and rng.random() < scene_change else -1
        for _ in range(num_clips)
    ]
    scenes: list[list[Scene]] = []
    tracks = []
    for block in range(num_blocks):
        simulator.change_scenes(
            [
                SCENES[rng.integers(len(SCENES))] if block == change else scene
                for scene, change in zip(simulator.scenes, change_blocks, strict=True)
            ]
        )
        actions = [ACTIONS[rng.integers(len(ACTIONS))] if rng.random() < 0.35 else "none" for _ in range(num_clips)]
        tracks.append(simulator.advance(actions))
        scenes.append(simulator.scenes)
    x = np.concatenate([track.x for track in tracks], axis=1)
    y = np.concatenate([track.y for track in tracks], axis=1)
    pairs = [
        _look(rng, scenes=[block[clip] for block in scenes], x=x[clip], y=y[clip], size=size)
        for clip in range(num_clips)
    ]
    frames, near = zip(*pairs, strict=True)
    return Clips(frames=np.stack(frames), near=np.stack(near))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _look(
    rng: np.random.Generator,
    *,
    scenes: list[Scene],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One clip through a window: frames [T, H, W, 3] and the pixels near the object [T, H, W]."""
    top, left = _window(rng, x=x, y=y, size=size)
    frames = []
    first = 0
    for block, scene in enumerate(scenes):
        part = slice(first, first + num_block_frames(block))
        frames.append(render(scene, x=x[part], y=y[part], top=top, left=left, height=size, width=size))
        first = part.stop
    reach = RADIUS + OBJECT_MARGIN
    near_rows = np.abs(np.arange(size)[None] + top - y[:, None]) < reach  # [T, H]
    near_columns = np.abs(np.arange(size)[None] + left - x[:, None]) < reach  # [T, W]
    return np.concatenate(frames), near_rows[:, :, None] & near_columns[:, None, :]


def _window(rng: np.random.Generator, *, x: NDArray[np.float64], y: NDArray[np.float64], size: int) -> tuple[int, int]:
    """Top and left of a window: mostly around where the object is at some frame, now and then anywhere."""
    room = SIZE - size
    if rng.random() < 0.15:
        return int(rng.integers(room + 1)), int(rng.integers(room + 1))
    frame = int(rng.integers(len(x)))
    top = y[frame] - size / 2 + rng.uniform(-0.4, 0.4) * size
    left = x[frame] - size / 2 + rng.uniform(-0.4, 0.4) * size
    return int(np.clip(top, 0, room)), int(np.clip(left, 0, room))
