"""The raw material of the transformer's training says the truth about its frames."""

from __future__ import annotations

import numpy as np
from inferix_tinyworld.meanings import MEANINGS
from inferix_tinyworld.rendering import background
from inferix_tinyworld.train.world_clips import UNSAID, simulate


def test_every_latent_position_that_the_object_touches_is_near() -> None:
    clips = simulate(np.random.default_rng(1), num_worlds=6, num_blocks=2)
    for world, frames in enumerate(clips.frames):
        sky = next(value for field, value in (MEANINGS[row] for row in clips.words[world, 0]) if field == "sky")
        differs = (frames[:9] != background(sky)).any(-1)  # the first block's frames, before the scene may change
        saturated = differs & (frames[:9].max(-1).astype(int) - frames[:9].min(-1) >= 105)
        cells = saturated.reshape(9, 16, 8, 16, 8).any((2, 4))
        latents = np.stack([cells[0], cells[1:5].any(0), cells[5:9].any(0)])
        assert latents.any()
        assert not (latents & ~clips.near[world, :3]).any()


def test_what_is_left_unsaid_stays_unsaid_and_never_changes() -> None:
    clips = simulate(np.random.default_rng(2), num_worlds=60, num_blocks=6)
    unsaid = clips.words == UNSAID
    assert 0.01 < unsaid.mean() < 0.1
    assert (unsaid == unsaid[:, :1]).all()


def test_scenes_change_and_actions_happen_in_some_worlds_only() -> None:
    clips = simulate(np.random.default_rng(3), num_worlds=120, num_blocks=6)
    changed = (clips.words != clips.words[:, :1]).any((1, 2))
    acted = (clips.actions != 0).any(1)
    assert 0.1 < changed.mean() < 0.5
    assert 0.3 < acted.mean() < 0.6
    assert set(np.unique(clips.actions)) == {0, 1, 2, 3}
