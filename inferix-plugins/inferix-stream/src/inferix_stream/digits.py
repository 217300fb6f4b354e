"""Times drawn as pixels: a 3×5 bitmap font, so that no font file is needed."""

from __future__ import annotations

import numpy as np

from inferix_stream.pixels import Pixels

GLYPH_ROWS = 5

# One string for each row from top to bottom, `#` is ink. The narrow glyphs are one pixel wide.
GLYPHS = {
    "0": ("###", "# #", "# #", "# #", "###"),
    "1": (" # ", "## ", " # ", " # ", "###"),
    "2": ("###", "  #", "###", "#  ", "###"),
    "3": ("###", "  #", "###", "  #", "###"),
    "4": ("# #", "# #", "###", "  #", "  #"),
    "5": ("###", "#  ", "###", "  #", "###"),
    "6": ("###", "#  ", "###", "# #", "###"),
    "7": ("###", "  #", "  #", "  #", "  #"),
    "8": ("###", "# #", "###", "# #", "###"),
    "9": ("###", "# #", "###", "  #", "###"),
    ".": (" ", " ", " ", " ", "#"),
    ":": (" ", "#", " ", "#", " "),
}


def time_label(seconds: float) -> str:
    """`3.2` below a minute, `1:05.0` from there on."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    return f"{minutes}:{tenths / 10:04.1f}" if minutes else f"{tenths / 10:.1f}"


def draw_label(text: str, *, scale: int) -> Pixels:
    """`text` as a mask `[5·scale, W]`, 1 where there is ink; each font pixel becomes `scale`×`scale`."""
    gap = np.zeros((GLYPH_ROWS, 1), np.uint8)
    columns: list[Pixels] = []
    for character in text:
        rows = [[mark == "#" for mark in row] for row in GLYPHS[character]]
        columns += [np.array(rows, np.uint8), gap]
    mask = np.hstack(columns[:-1])
    return mask.repeat(scale, axis=0).repeat(scale, axis=1)
