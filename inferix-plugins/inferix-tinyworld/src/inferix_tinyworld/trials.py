"""What tinyworld is measured by: worlds made through the public engine and judged by what is seen in their frames.

Letters: T frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from inferix_core import Engine, Signal, World
from numpy.typing import NDArray

from inferix_tinyworld.prompts import paraphrase
from inferix_tinyworld.scene import FPS, SIZE, Scene, all_scenes
from inferix_tinyworld.segmentation import Sightings, classify_behaviour, find_objects

BATCH = 4
"""Worlds that are stepped together."""
STEADY_SHARE = 0.9
"""Share of the frames looked at in which a world's colour or sky must be right for the world to count."""
NUM_CALM_BLOCKS = 2
"""Blocks before a push."""
PUSH_FRAMES = 6
"""Frames after which a push is judged."""
PUSH_DISTANCE = 4.0
"""Pixels that the object must have moved by then; the simulator moves it by 10 to 20."""
PUSH_ROOM = 40.0
"""Pixels from the wall to the object's centre that a push needs; with less, the other way is pushed."""

Frames = NDArray[np.uint8]
Counts = Counter[str]
"""`NAME` and `NAME of`: how often something was right, and of how many."""


@dataclass(frozen=True)
class Trial:
    """One world to make: its seed and what it is asked to show. Both are fixed by the seed alone."""

    seed: int

    @property
    def scene(self) -> Scene:
        """Drawn from the seed."""
        return Random(f"scene {self.seed}").choice(all_scenes())

    @property
    def prompt(self) -> str:
        """One of the scene's many prompts."""
        return paraphrase(self.scene, Random(f"prompt {self.seed}"))


def measure_first_seconds(engine: Engine, trials: Sequence[Trial], *, seconds: float = 5.0) -> Counts:
    """Colour, sky and behaviour of worlds that nobody acts on, and in how many frames exactly one object is seen."""
    counts: Counts = Counter()
    for trial, frames in _videos(engine, trials, num_frames=round(seconds * FPS)):
        seen = find_objects(frames)
        behaviour = classify_behaviour(seen.x, seen.y)
        _count(counts, "colour", _share_of_color(seen, trial.scene) >= STEADY_SHARE)
        _count(counts, "sky", _share_of_sky(seen, trial.scene) >= STEADY_SHARE)
        _count(counts, "behaviour", behaviour == trial.scene.behaviour)
        counts["one object"] += int((seen.num_objects == 1).sum())
        counts["one object of"] += len(frames)
    return counts


def measure_pushes(engine: Engine, trials: Sequence[Trial]) -> Counts:
    """Whether a push left or right moves the object that way."""
    counts: Counts = Counter()
    for batch in _batches(trials):
        worlds = [engine.create_world(trial.prompt, seed=trial.seed) for trial in batch]
        for _ in range(NUM_CALM_BLOCKS):
            before = _step(engine, worlds, [None] * len(worlds))
        starts = [_last_x(find_objects(frames)) for frames in before]
        pushes = [_push(trial, x) for trial, x in zip(batch, starts, strict=True)]
        after = _step(engine, worlds, [Signal(action=push) for push in pushes])
        for push, start, frames in zip(pushes, starts, after, strict=True):
            x = find_objects(frames[:PUSH_FRAMES]).x[-1]
            moved = x - start if push == "right" else start - x
            _count(counts, "push", bool(moved >= PUSH_DISTANCE))  # nan, an object that was lost, is not
    return counts


def measure_long(engine: Engine, trials: Sequence[Trial], *, seconds: float = 60.0) -> Counts:
    """Colour and sky in the last second of long worlds, and in how many of its frames exactly one object is seen."""
    counts: Counts = Counter()
    for trial, frames in _videos(engine, trials, num_frames=round(seconds * FPS), num_kept=FPS):
        seen = find_objects(frames)
        color = _share_of_color(seen, trial.scene) >= STEADY_SHARE
        sky = _share_of_sky(seen, trial.scene) >= STEADY_SHARE
        _count(counts, "long colour", color)
        _count(counts, "long sky", sky)
        _count(counts, "long both", color and sky)
        counts["long one object"] += int((seen.num_objects == 1).sum())
        counts["long one object of"] += len(frames)
    return counts


def _videos(
    engine: Engine, trials: Sequence[Trial], *, num_frames: int, num_kept: int | None = None
) -> Iterator[tuple[Trial, Frames]]:
    """The first `num_frames` frames of each world, or the last `num_kept` of these."""
    for batch in _batches(trials):
        worlds = [engine.create_world(trial.prompt, seed=trial.seed) for trial in batch]
        videos: list[Frames] = [np.empty((0, SIZE, SIZE, 3), np.uint8) for _ in batch]
        num_made = 0
        while num_made < num_frames:
            made = _step(engine, worlds, [None] * len(worlds))
            num_made += len(made[0])
            keep = slice(None) if num_kept is None else slice(-num_kept - len(made[0]), None)
            videos = [np.concatenate([video, frames])[keep] for video, frames in zip(videos, made, strict=True)]
        surplus = num_made - num_frames
        for trial, video in zip(batch, videos, strict=True):
            frames = video[: len(video) - surplus]
            yield trial, frames if num_kept is None else frames[-num_kept:]


def _step(engine: Engine, worlds: Sequence[World], signals: Sequence[Signal | None]) -> list[Frames]:
    return [block.frames.numpy() for block in engine.step(worlds, signals)]


def _batches(trials: Sequence[Trial]) -> Iterator[Sequence[Trial]]:
    return (trials[first : first + BATCH] for first in range(0, len(trials), BATCH))


def _count(counts: Counts, name: str, is_right: bool) -> None:
    counts[name] += int(is_right)
    counts[f"{name} of"] += 1


def _share_of_color(seen: Sightings, scene: Scene) -> float:
    """Of all frames; one without an object shows no colour."""
    return float(np.mean([color == scene.color for color in seen.color]))


def _share_of_sky(seen: Sightings, scene: Scene) -> float:
    return float(np.mean([sky == scene.sky for sky in seen.sky]))


def _last_x(seen: Sightings) -> float:
    """Where the object was last seen; nan if never."""
    found = seen.x[~np.isnan(seen.x)]
    return float(found[-1]) if len(found) else float("nan")


def _push(trial: Trial, x: float) -> str:
    """A way drawn from the seed, or the other where a wall leaves no room."""
    if x < PUSH_ROOM:
        return "right"
    if x > SIZE - PUSH_ROOM:
        return "left"
    return Random(f"push {trial.seed}").choice(("left", "right"))
