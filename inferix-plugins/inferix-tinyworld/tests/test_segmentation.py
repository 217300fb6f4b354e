"""What is measured in a video is what is in it."""

from __future__ import annotations

import numpy as np
import pytest
from inferix_tinyworld.rendering import background, render
from inferix_tinyworld.scene import SKIES, Scene, all_scenes
from inferix_tinyworld.segmentation import classify_behaviour, find_objects
from inferix_tinyworld.simulator import Simulator


def test_color_sky_number_and_place_are_right_for_every_scene():
    simulator = Simulator(all_scenes(), seed=11)
    track = simulator.advance()
    for index, frames in enumerate(simulator.render(track)):
        scene = simulator.scenes[index]
        found = find_objects(frames[::4])
        assert set(found.color) == {scene.color}
        assert set(found.sky) == {scene.sky}
        assert np.all(found.num_objects == 1)
        assert np.abs(found.x - track.x[index, ::4]).max() < 1.0
        assert np.abs(found.y - track.y[index, ::4]).max() < 1.0


def test_behaviour_is_read_from_five_seconds_of_track():
    simulator = Simulator(all_scenes(), seed=12)
    parts = [simulator.advance() for _ in range(7)]
    x, y = (np.concatenate([getattr(part, name) for part in parts], axis=1)[:, :80] for name in ("x", "y"))
    for index, scene in enumerate(simulator.scenes):
        assert classify_behaviour(x[index], y[index]) == scene.behaviour


@pytest.mark.parametrize("sky", SKIES)
def test_an_empty_scene_has_no_object(sky):
    found = find_objects(background(sky)[None])
    assert found.num_objects[0] == 0
    assert found.color == [None]
    assert np.isnan(found.x[0])
    assert found.sky == [sky]


def test_two_objects_are_counted_as_two():
    one = render(Scene("red", "ball", "rests", "day"), x=np.array([30.0]), y=np.array([93.0]))
    two = render(Scene("red", "ball", "rests", "day"), x=np.array([90.0]), y=np.array([93.0]))
    both = np.where((one == background("day")).all(-1, keepdims=True), two, one)
    assert find_objects(both).num_objects[0] == 2


def test_half_the_brightness_noise_of_a_tiny_vae_changes_nothing():
    rng = np.random.default_rng(0)
    for scene in all_scenes()[::5]:
        clean = render(scene, x=np.array([64.0]), y=np.array([80.0])).astype(np.float64)
        frames = np.clip(clean + rng.normal(0, 5, clean.shape), 0, 255).astype(np.uint8)
        found = find_objects(frames)
        assert (found.num_objects[0], found.color[0], found.sky[0]) == (1, scene.color, scene.sky)
