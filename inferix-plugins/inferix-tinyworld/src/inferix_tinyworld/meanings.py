"""The meanings that the text encoder has an embedding for, numbered; free of torch."""

from __future__ import annotations

from inferix_tinyworld.prompts import WORDS, known_words
from inferix_tinyworld.scene import BEHAVIOURS, COLORS, SHAPES, SKIES, Scene

MEANINGS: tuple[tuple[str, str], ...] = (
    *(("color", value) for value in COLORS),
    *(("shape", value) for value in SHAPES),
    *(("behaviour", value) for value in BEHAVIOURS),
    *(("sky", value) for value in SKIES),
)
"""(field of a scene, value) of each; the index is the row of the embedding table. All synonyms share a row."""
FIELDS = ("color", "shape", "behaviour", "sky")

_ROWS = {meaning: row for row, meaning in enumerate(MEANINGS)}


def prompt_rows(prompt: str) -> list[int]:
    """The rows of what a prompt says, one for each field at most; the first word about a field counts."""
    said: dict[str, int] = {}
    for word in known_words(prompt):
        meaning = WORDS[word]
        said.setdefault(meaning.field, _ROWS[meaning.field, meaning.value])
    return list(said.values())


def scene_rows(scene: Scene) -> list[int]:
    """The rows of a whole scene, in the order of `FIELDS`."""
    return [_ROWS[field, getattr(scene, field)] for field in FIELDS]
