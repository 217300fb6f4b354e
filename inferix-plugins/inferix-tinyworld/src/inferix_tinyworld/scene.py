"""What a tinyworld shows and how it is named: colours, shapes, behaviours, skies, actions and the sizes of things."""

from __future__ import annotations

from dataclasses import dataclass

SIZE = 128
"""Height and width of a frame in pixels."""
FPS = 16
"""Frames a second."""
RADIUS = 15.0
"""Radius of the ball and half the side of the box, in pixels."""
HORIZON_ROW = 88
"""First row of the ground."""
CONTACT_ROW = 108.0
"""The row on which the object stands."""
FLOOR_Y = CONTACT_ROW - RADIUS
"""Row of the object's centre when it stands on the ground."""
LATENTS_PER_BLOCK = 3
FRAMES_PER_LATENT = 4
"""Frames of every latent but a world's first, which is one frame."""

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 40),
    "yellow": (240, 215, 40),
    "green": (40, 185, 60),
    "cyan": (40, 205, 205),
    "blue": (45, 80, 230),
    "purple": (175, 50, 215),
}
SHAPES = ("ball", "box")
BEHAVIOURS = ("rolls", "bounces", "rests")
SKIES = ("day", "sunset", "night")
ACTIONS = ("none", "left", "right", "jump")


@dataclass(frozen=True)
class Scene:
    """What a prompt asks for."""

    color: str = "red"
    shape: str = "ball"
    behaviour: str = "bounces"
    sky: str = "day"


def num_block_frames(block: int) -> int:
    """Frames of block `block`: 9 for the first, 12 for each later one."""
    return FRAMES_PER_LATENT * LATENTS_PER_BLOCK - (FRAMES_PER_LATENT - 1 if block == 0 else 0)


def all_scenes() -> list[Scene]:
    """Every combination: 6 colours, 2 shapes, 3 behaviours, 3 skies = 108 scenes."""
    return [Scene(c, s, b, k) for c in COLORS for s in SHAPES for b in BEHAVIOURS for k in SKIES]
