"""Prompts say what the scene is."""

from __future__ import annotations

from random import Random

import pytest
from inferix_tinyworld.prompts import VOCABULARY, canonical, known_words, paraphrase, parse
from inferix_tinyworld.scene import Scene, all_scenes


def test_a_plain_prompt_is_understood():
    assert parse("a red ball bounces at sunset") == Scene("red", "ball", "bounces", "sunset")
    assert parse("A BLUE box, resting in the day!") == Scene("blue", "box", "rests", "day")


def test_every_scene_comes_back_from_its_prompt_and_its_paraphrases():
    rng = Random(0)
    for scene in all_scenes():
        assert parse(canonical(scene)) == scene
        for _ in range(5):
            assert parse(paraphrase(scene, rng)) == scene


def test_paraphrases_vary():
    rng = Random(0)
    assert len({paraphrase(Scene(), rng) for _ in range(50)}) > 20


def test_unknown_words_are_passed_over():
    assert parse("a marvellous green zebra") == Scene(color="green")


def test_what_a_prompt_leaves_open_stays_as_it_was():
    before = Scene("purple", "box", "rolls", "day")
    assert parse("… at night", default=before) == Scene("purple", "box", "rolls", "night")


def test_a_prompt_without_a_known_word_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'a zebra'.*red.*ball.*bounces.*sunset"):
        parse("a zebra")


def test_known_words_are_in_the_vocabulary():
    words = known_words("The crimson sphere hops at dusk")
    assert words == ("crimson", "sphere", "hops", "dusk")
    assert set(words) <= set(VOCABULARY)
    assert len(set(VOCABULARY)) == len(VOCABULARY)
