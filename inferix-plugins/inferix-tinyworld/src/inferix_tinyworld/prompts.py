"""The words of tinyworld: from a prompt to a scene and back."""

from __future__ import annotations

import dataclasses
import re
from random import Random
from typing import NamedTuple

from inferix_tinyworld.scene import BEHAVIOURS, COLORS, SHAPES, SKIES, Scene


class Meaning(NamedTuple):
    """What a word says: a field of `Scene` and its value."""

    field: str
    value: str


_SYNONYMS: dict[str, dict[str, tuple[str, ...]]] = {
    "color": {
        "red": ("scarlet", "crimson"),
        "yellow": ("golden",),
        "green": ("emerald",),
        "cyan": ("turquoise", "teal"),
        "blue": ("azure",),
        "purple": ("violet", "magenta"),
    },
    "shape": {"ball": ("sphere",), "box": ("cube", "crate", "block")},
    "behaviour": {
        "rolls": ("roll", "rolling", "slides", "slide", "sliding", "moves", "moving"),
        "bounces": ("bounce", "bouncing", "hops", "hopping"),
        "rests": ("rest", "resting", "lies", "lying", "stands", "standing", "sits", "sitting", "still"),
    },
    "sky": {
        "day": ("daytime", "daylight", "noon", "sunny", "morning"),
        "sunset": ("dusk", "evening", "sundown"),
        "night": ("nighttime", "midnight", "dark"),
    },
}

WORDS: dict[str, Meaning] = {
    word: Meaning(field, value)
    for field, values in _SYNONYMS.items()
    for value, synonyms in values.items()
    for word in (value, *synonyms)
}
"""Every known word and what it means."""

VOCABULARY: tuple[str, ...] = tuple(WORDS)
"""The known words in a fixed order; an index into it is a word's id."""

_SKY_PHRASES = {
    "day": ("by day", "in the day", "at noon", "in daylight", "in the daytime", "under a sunny sky", "in the morning"),
    "sunset": ("at sunset", "at dusk", "in the evening", "at sundown"),
    "night": ("at night", "at midnight", "in the dark", "in the night", "in the nighttime"),
}
_VERB_PHRASES = {
    "rolls": ("rolls", "is rolling", "slides along", "rolls along", "is moving", "moves", "is sliding"),
    "bounces": ("bounces", "is bouncing", "bounces up and down", "hops", "is hopping"),
    "rests": ("rests", "is resting", "lies there", "is lying there", "stands", "is standing", "sits", "is still"),
}


def known_words(prompt: str) -> tuple[str, ...]:
    """The words of the prompt that tinyworld knows, in lower case and in their order."""
    return tuple(word for word in re.findall(r"[a-z]+", prompt.lower()) if word in WORDS)


def parse(prompt: str, *, default: Scene | None = None) -> Scene:
    """The scene that a prompt describes; what it does not say comes from `default`.

    The first word about a thing counts; unknown words are passed over.
    Raises `ValueError` naming the known words if the prompt has none of them.
    """
    scene = default if default is not None else Scene()
    words = known_words(prompt)
    if not words:
        raise ValueError(
            f"The prompt {prompt!r} has no word that tinyworld knows. It knows colours ({', '.join(COLORS)}), "
            f"things ({', '.join(SHAPES)}), what they do ({', '.join(BEHAVIOURS)}) and skies ({', '.join(SKIES)}). "
            'Try "a red ball bounces at sunset".'
        )
    said: dict[str, str] = {}
    for word in words:
        said.setdefault(WORDS[word].field, WORDS[word].value)
    return dataclasses.replace(scene, **said)


def canonical(scene: Scene) -> str:
    """The plainest prompt for a scene: "a red ball bounces at sunset"."""
    return f"a {scene.color} {scene.shape} {scene.behaviour} {_SKY_PHRASES[scene.sky][0]}"


def paraphrase(scene: Scene, rng: Random) -> str:
    """One of many prompts that `parse` reads as this scene."""
    color = rng.choice((scene.color, scene.color, scene.color, *_SYNONYMS["color"][scene.color]))
    shape = rng.choice((scene.shape, scene.shape, *_SYNONYMS["shape"][scene.shape]))
    verb = rng.choice((scene.behaviour, *_VERB_PHRASES[scene.behaviour]))
    when = rng.choice((_SKY_PHRASES[scene.sky][0], *_SKY_PHRASES[scene.sky]))
    article = "an" if color[0] in "aeiou" else "a"
    form = rng.choice(
        (
            "{article} {color} {shape} {verb} {when}",
            "{when} {article} {color} {shape} {verb}",
            "{when}, {article} {color} {shape} {verb}",
            "the {color} {shape} {verb} {when}",
            "a video of {article} {color} {shape} that {verb} {when}",
        )
    )
    return form.format(article=article, color=color, shape=shape, verb=verb, when=when)
