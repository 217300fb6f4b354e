"""Pictures of a tinyworld: a cached background and, per frame, only the pixels that the object and its shadow touch.

Letters: T frames, H height, W width.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from inferix_tinyworld.scene import COLORS, CONTACT_ROW, HORIZON_ROW, RADIUS, SIZE, Scene

Picture = NDArray[np.uint8]

# Low chroma throughout, so that the saturated objects stand out under every sky.
# Top of the sky, horizon, far ground, near ground.
SKY_COLORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "day": ((120, 170, 215), (200, 220, 232), (150, 142, 122), (118, 110, 95)),
    "sunset": ((105, 85, 130), (232, 165, 150), (120, 96, 92), (86, 70, 72)),
    "night": ((10, 12, 28), (34, 38, 66), (46, 46, 56), (30, 30, 38)),
}
SHADOW_DEPTH = 0.45
SHADOW_HALF_HEIGHT = 4.0


@cache
def background(sky: str) -> Picture:
    """The scene without its object: [128, 128, 3], read-only."""
    top, horizon, far, near = (np.array(c, dtype=np.float64) for c in SKY_COLORS[sky])
    rows = np.arange(SIZE, dtype=np.float64)[:, None]
    sky_share = np.clip(rows / (HORIZON_ROW - 1), 0, 1) ** 1.5
    ground_share = np.clip((rows - HORIZON_ROW) / (SIZE - 1 - HORIZON_ROW), 0, 1)
    column = np.where(rows < HORIZON_ROW, top + (horizon - top) * sky_share, far + (near - far) * ground_share)
    picture = np.repeat(np.rint(column).astype(np.uint8)[:, None], SIZE, axis=1)
    picture.flags.writeable = False
    return picture


def render(
    scene: Scene,
    *,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    top: int = 0,
    left: int = 0,
    height: int = SIZE,
    width: int = SIZE,
) -> Picture:
    """Frames [T, height, width, 3] of the object at `x`, `y` [T]; a window of the 128x128 picture if asked for."""
    window = background(scene.sky)[top : top + height, left : left + width]
    frames = np.repeat(window[None], len(x), axis=0)
    for frame, centre_x, centre_y in zip(frames, x - left, y - top, strict=True):
        _draw_shadow(frame, x=centre_x, y=CONTACT_ROW - top, height=CONTACT_ROW - top - RADIUS - centre_y)
        _draw_object(frame, scene, x=centre_x, y=centre_y)
    return frames


def _box(centre: float, reach: float, size: int) -> tuple[int, int]:
    """The pixels that something at `centre` reaching `reach` to both sides can touch, inside [0, size)."""
    return max(0, int(np.floor(centre - reach))), min(size, int(np.ceil(centre + reach)) + 1)


def _draw_shadow(frame: Picture, *, x: float, y: float, height: float) -> None:
    """Darkens the ground under the object; fainter and wider the higher it is."""
    reach = RADIUS * (1.0 + height / 150.0)
    row0, row1 = _box(y, SHADOW_HALF_HEIGHT, frame.shape[0])
    col0, col1 = _box(x, reach, frame.shape[1])
    if row0 >= row1 or col0 >= col1:
        return
    rows = (np.arange(row0, row1)[:, None] - y) / SHADOW_HALF_HEIGHT
    cols = (np.arange(col0, col1)[None] - x) / reach
    depth = SHADOW_DEPTH / (1.0 + height / 25.0) * np.clip(1.0 - rows**2 - cols**2, 0.0, 1.0)
    patch = frame[row0:row1, col0:col1]
    patch[:] = np.rint(patch * (1.0 - depth[..., None]))


def _draw_object(frame: Picture, scene: Scene, *, x: float, y: float) -> None:
    row0, row1 = _box(y, RADIUS + 1, frame.shape[0])
    col0, col1 = _box(x, RADIUS + 1, frame.shape[1])
    if row0 >= row1 or col0 >= col1:
        return
    dy = np.arange(row0, row1)[:, None] - y
    dx = np.arange(col0, col1)[None] - x
    color = np.array(COLORS[scene.color], dtype=np.float64)
    if scene.shape == "ball":
        coverage = np.clip(RADIUS + 0.5 - np.hypot(dx, dy), 0.0, 1.0)
        # Light from the upper left, falling off smoothly.
        light = 1.06 - 0.26 * np.clip(np.hypot(dx + 5.0, dy + 5.0) / (RADIUS + 7.0), 0.0, 1.0) ** 2
    else:
        coverage = np.clip(RADIUS + 0.5 - np.abs(dx), 0.0, 1.0) * np.clip(RADIUS + 0.5 - np.abs(dy), 0.0, 1.0)
        light = 0.97 - 0.10 * (dy + 0.3 * dx) / RADIUS
    shaded = np.clip(color * light[..., None], 0, 255)
    patch = frame[row0:row1, col0:col1]
    patch[:] = np.rint(patch + (shaded - patch) * coverage[..., None])
