"""Whole simulated worlds with what was said to them, block by block: the raw material of the `dit` stage.

Letters: N worlds, K blocks, T frames, L latents, h, w latent height and width.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferix_tinyworld.meanings import FIELDS, scene_rows
from inferix_tinyworld.scene import ACTIONS, CONTACT_ROW, FRAMES_PER_LATENT, RADIUS, SIZE, Scene, all_scenes
from inferix_tinyworld.simulator import Simulator

UNSAID = -1
SCENES = all_scenes()
UNSAID_SHARE = 0.05
"""How often a field is left out of a world's prompts; it then never changes."""
CHANGING_SHARE, CHANGE_SHARE = 0.35, 0.3
"""Share of worlds whose scene changes, and of their blocks where it does."""
ACTIVE_SHARE, ACTION_SHARE = 0.5, 0.4
"""Share of worlds that are acted on, and of their blocks where they are."""
CELL = 8
"""Pixels along one side of a latent position."""


@dataclass(frozen=True)
class WorldClips:
    """N worlds from their first block on."""

    frames: NDArray[np.uint8]
    """[N, T, 128, 128, 3]"""
    words: NDArray[np.int64]
    """Rows of the embedding table for each field, `UNSAID` where nothing is said: [N, K, 4]."""
    actions: NDArray[np.int64]
    """Indices into `ACTIONS`: [N, K]."""
    near: NDArray[np.bool_]
    """Latent positions that the object or its shadow touches: [N, L, h, w]."""


def simulate(rng: np.random.Generator, *, num_worlds: int, num_blocks: int) -> WorldClips:
    """Worlds with random scenes, changes of scene and actions."""
    scenes = [SCENES[index] for index in rng.integers(len(SCENES), size=num_worlds)]
    said = rng.random((num_worlds, len(FIELDS))) >= UNSAID_SHARE
    changing = rng.random(num_worlds) < CHANGING_SHARE
    active = rng.random(num_worlds) < ACTIVE_SHARE
    simulator = Simulator(scenes, seed=int(rng.integers(2**31)))
    frames, words, actions, xs, ys = [], [], [], [], []
    for block in range(num_blocks):
        if block:
            changes = changing & (rng.random(num_worlds) < CHANGE_SHARE)
            scenes = [
                _changed(scene, rng, said=of_world) if change else scene
                for scene, change, of_world in zip(scenes, changes, said, strict=True)
            ]
            simulator.change_scenes(scenes)
        acts = active & (rng.random(num_worlds) < ACTION_SHARE)
        chosen = np.where(acts, rng.integers(1, len(ACTIONS), size=num_worlds), 0)
        track = simulator.advance([ACTIONS[index] for index in chosen])
        frames.append(simulator.render(track))
        words.append(np.where(said, np.array([scene_rows(scene) for scene in scenes]), UNSAID))
        actions.append(chosen)
        xs.append(track.x)
        ys.append(track.y)
    near = _near(np.concatenate(xs, axis=1), np.concatenate(ys, axis=1))
    return WorldClips(
        frames=np.concatenate(frames, axis=1),
        words=np.stack(words, axis=1),
        actions=np.stack(actions, axis=1),
        near=near,
    )


def _changed(scene: Scene, rng: np.random.Generator, *, said: NDArray[np.bool_]) -> Scene:
    """A scene with a new value for some of the fields that are said."""
    other = SCENES[rng.integers(len(SCENES))]
    fields = [field for field, is_said in zip(FIELDS, said, strict=True) if is_said and rng.random() < 0.6]
    return dataclasses.replace(scene, **{field: getattr(other, field) for field in fields})


def _near(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[N, L, h, w] from the object's centre in each frame [N, T]."""
    centres = np.arange(SIZE // CELL) * CELL + (CELL - 1) / 2
    reach = RADIUS + CELL / 2
    columns = np.abs(centres - x[..., None]) < reach  # [N, T, w]
    rows = np.abs(centres - y[..., None]) < reach  # [N, T, h]
    shadow_rows = np.abs(centres - CONTACT_ROW) < CELL
    in_frame = (rows | shadow_rows)[..., :, None] & columns[..., None, :]  # [N, T, h, w]
    later = in_frame[:, 1:].reshape(len(x), -1, FRAMES_PER_LATENT, *in_frame.shape[2:]).any(axis=2)
    return np.concatenate([in_frame[:, :1], later], axis=1)
