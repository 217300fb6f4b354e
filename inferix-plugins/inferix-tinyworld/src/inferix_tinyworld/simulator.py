"""The physics of tinyworld for a batch of worlds at once: deterministic, with no memory but position and speed.

Letters: N worlds, T frames. Lengths are pixels, times are frames; x grows to the right, y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferix_tinyworld.rendering import render
from inferix_tinyworld.scene import ACTIONS, BEHAVIOURS, FLOOR_Y, RADIUS, SIZE, Scene, num_block_frames

Array = NDArray[np.float64]

GRAVITY = 1.0
BOUNCE_SPEED = 10.0
"""Upward speed after each contact of a bouncing object: apex 50 px, period 20 frames."""
JUMP_SPEED = 10.0
PUSH_SPEED = 4.0
CRUISE_SPEED = {"rolls": 2.0, "bounces": 1.0, "rests": 0.0}
"""Horizontal speed that each behaviour relaxes to, direction kept."""
RELAXATION = 0.12
"""Share of the difference to the cruise speed that goes in one frame."""
WALLS = (RADIUS + 1.0, SIZE - RADIUS - 1.0)
"""Smallest and largest x of the object's centre; it reflects elastically there."""
MAX_HEIGHT = FLOOR_Y - RADIUS - 1.0
STILL = 0.05
"""Below this speed an object that should move sets off towards the farther wall."""


@dataclass(frozen=True)
class Track:
    """The truth about the frames of a block, each [N, T]; `vy` is downwards."""

    x: Array
    y: Array
    vx: Array
    vy: Array


class Simulator:
    """N worlds that advance block by block."""

    def __init__(self, scenes: Sequence[Scene], *, seed: int) -> None:
        self.scenes = list(scenes)
        self.block = 0
        rng = np.random.default_rng(seed)
        num = len(self.scenes)
        self._x = rng.uniform(*WALLS, num)
        direction = rng.choice([-1.0, 1.0], num)
        phase = rng.uniform(0, 2 * BOUNCE_SPEED / GRAVITY, num)
        bounces = np.array([s.behaviour == "bounces" for s in self.scenes])
        self._height = np.where(bounces, phase * (BOUNCE_SPEED - GRAVITY * phase / 2), 0.0)
        self._rise = np.where(bounces, BOUNCE_SPEED - GRAVITY * phase, 0.0)
        self._vx = direction * np.array([CRUISE_SPEED[s.behaviour] for s in self.scenes])

    def change_scenes(self, scenes: Sequence[Scene]) -> None:
        """From the next block on each world follows its new scene; the objects go on from where they are."""
        if len(scenes) != len(self.scenes):
            raise ValueError(f"{len(scenes)} scenes were given for {len(self.scenes)} worlds: give one for each.")
        self.scenes = list(scenes)

    def advance(self, actions: Sequence[str] | None = None) -> Track:
        """The next block of every world; `actions` act at its first frame (none if not given)."""
        track = self.advance_frames(num_block_frames(self.block), actions, is_start=self.block == 0)
        self.block += 1
        return track

    def advance_frames(self, num_frames: int, actions: Sequence[str] | None = None, *, is_start: bool) -> Track:
        """`num_frames` frames; at the start of a world the first of them shows the initial state."""
        if actions is not None:
            self._act(actions)
        kinds = np.array([BEHAVIOURS.index(s.behaviour) for s in self.scenes])
        cruise = np.array([CRUISE_SPEED[s.behaviour] for s in self.scenes])
        rows = []
        for frame in range(num_frames):
            if not (is_start and frame == 0):
                self._move_sideways(cruise)
                self._move_vertically(bounces=kinds == BEHAVIOURS.index("bounces"))
            rows.append((self._x.copy(), FLOOR_Y - self._height, self._vx.copy(), -self._rise))
        x, y, vx, vy = (np.stack(column, axis=1) for column in zip(*rows, strict=True))
        return Track(x=x, y=y, vx=vx, vy=vy)

    def render(self, track: Track) -> NDArray[np.uint8]:
        """The frames of a track under the present scenes: [N, T, 128, 128, 3] uint8."""
        return np.stack([render(scene, x=x, y=y) for scene, x, y in zip(self.scenes, track.x, track.y, strict=True)])

    def _act(self, actions: Sequence[str]) -> None:
        unknown = sorted(set(actions) - set(ACTIONS))
        if unknown or len(actions) != len(self.scenes):
            raise ValueError(
                f"Actions {list(actions)} for {len(self.scenes)} worlds: give one of {', '.join(ACTIONS)} for each."
            )
        chosen = np.array(actions)
        self._vx = np.where(chosen == "left", -PUSH_SPEED, np.where(chosen == "right", PUSH_SPEED, self._vx))
        self._rise = np.where(chosen == "jump", JUMP_SPEED, self._rise)

    def _move_sideways(self, cruise: Array) -> None:
        to_far_wall = np.where(self._x < SIZE / 2, 1.0, -1.0)
        stalled = (np.abs(self._vx) < STILL) & (cruise > 0)
        direction = np.where(stalled, to_far_wall, np.sign(self._vx))
        speed = np.abs(self._vx)
        self._vx = direction * (speed + RELAXATION * (cruise - speed))
        x = self._x + self._vx
        low, high = WALLS
        hit = (x < low) | (x > high)
        self._x = np.where(x < low, 2 * low - x, np.where(x > high, 2 * high - x, x))
        self._vx = np.where(hit, -self._vx, self._vx)

    def _move_vertically(self, *, bounces: NDArray[np.bool_]) -> None:
        height = self._height + self._rise - GRAVITY / 2
        rise = self._rise - GRAVITY
        landed = height < 0
        # Exact moment of the contact inside the frame, so that a bounce neither gains nor loses over hours.
        until = (self._rise + np.sqrt(np.maximum(self._rise**2 + 2 * GRAVITY * self._height, 0.0))) / GRAVITY
        left = np.clip(1.0 - until, 0.0, 1.0)
        height = np.where(landed, np.where(bounces, left * (BOUNCE_SPEED - GRAVITY * left / 2), 0.0), height)
        rise = np.where(landed, np.where(bounces, BOUNCE_SPEED - GRAVITY * left, 0.0), rise)
        above = height > MAX_HEIGHT
        self._height = np.where(above, 2 * MAX_HEIGHT - height, height)
        self._rise = np.where(above, -np.abs(rise), rise)
