"""The rules of models that worlds begin with a picture or a video of; others are exempt from them."""

from __future__ import annotations

from itertools import combinations
from typing import cast, get_args

import pytest
import torch
from torch import Tensor

from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Beginning, Condition, Fit, Model, PrefixModel
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError
from inferix_core.plan import Prefill, Progress
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged
from inferix_core.testing.suites.simulation import passes_of

PREFIXES = frozenset({"image-prefix", "video-prefix"})


class ModelCase(Suite):
    """What a subclass supplies for all rules of models; the last two where the spec provides a prefix."""

    def model(self) -> Model:
        """The model; it may be the same one every time."""
        raise NotImplementedError("Supply `model`: return the model that is to be tested.")

    def encoder(self) -> FrameEncoder:
        """The decoder that shows the model's worlds, which encodes too."""
        raise NotImplementedError("Supply `encoder`: return the decoder of the model's preset.")

    def planner(self) -> Planner:
        """The planner that goes on from a prefix."""
        raise NotImplementedError("Supply `planner`: return the planner of the model's preset.")


class PrefixRules(ModelCase):
    """What is made of the frames that a world begins with."""

    @rule
    def test_the_planner_goes_on_from_all_of_a_beginning(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            latents = self._beginning(self._frames(name)).latents
            if latents is None:
                continue
            assert tuple(latents.shape[1:]) == self.model().geometry.latent_shape
            assert bool(latents.isfinite().all())
            assert self._latents_used_of(len(latents)) == set(range(len(latents)))

    @rule
    def test_a_beginning_is_latents_or_parts_of_conditions(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            begun = self._beginning(self._frames(name))
            assert begun.latents is not None or begun.conditions, "a beginning of nothing is no beginning"
            for part in begun.conditions.values():
                assert isinstance(part, Condition)
                assert part.tokens.ndim == 3

    @rule
    def test_the_frames_of_a_beginning_matter(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            one, other = (self._tensors(self._beginning(self._frames(name, seed=seed))) for seed in (0, 1))
            assert not all(map(torch.equal, one, other))

    @rule
    def test_the_same_frames_begin_the_same(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            first = self._tensors(self._beginning(self._frames(name)))
            self._beginning(self._frames(name, seed=1))
            assert all(map(torch.equal, first, self._tensors(self._beginning(self._frames(name)))))

    @rule
    def test_another_aspect_ratio_is_cropped_padded_or_stretched(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            frames = self._frames(name)
            wide = torch.cat([frames, frames], dim=2)
            fits = (*get_args(Fit), None)
            *fitted, by_itself = (self._tensors(self._beginning(wide.clone(), fit=fit)) for fit in fits)
            shapes = [part.shape for part in self._tensors(self._beginning(frames))]
            assert all([part.shape for part in one] == shapes for one in (*fitted, by_itself))
            assert not any(all(map(torch.equal, *pair)) for pair in combinations(fitted, 2))

    @rule
    def test_the_frames_of_a_beginning_stay_as_they_are(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            frames = self._frames(name)
            copies = copies_of(frames)
            self._beginning(frames)
            assert is_unchanged(frames, copies)

    @rule
    def test_what_are_no_frames_is_a_config_error(self) -> None:
        for name in sorted(self.provides & PREFIXES):
            frames = self._frames(name)
            for wrong in (frames.float(), frames[..., :2], frames[0], frames[:0]):
                with pytest.raises(ConfigError):
                    self._beginning(wrong)

    def _frames(self, ability: str, *, seed: int = 0) -> Tensor:
        """A picture, or a video longer than a block, `[T, h, w, 3]`."""
        geometry = self.model().geometry
        count = 1 if ability == "image-prefix" else 2 * geometry.num_frames(range(self.planner().num_block_latents)) + 1
        shape = (count, geometry.frame_height, geometry.frame_width, 3)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))

    def _beginning(self, frames: Tensor, *, fit: str | None = "crop") -> Beginning:
        model = cast("PrefixModel", self.model())
        return model.encode_prefix(frames, fit=fit, encoder=self.encoder(), planner=self.planner())

    @staticmethod
    def _tensors(begun: Beginning) -> list[Tensor]:
        parts = [part.tokens for _, part in sorted(begun.conditions.items())]
        return parts if begun.latents is None else [begun.latents, *parts]

    def _latents_used_of(self, num_prefix_latents: int) -> set[int]:
        """The latents of a prefix that are prefilled or pinned while the first blocks are made."""
        planner, used = self.planner(), set[int]()
        for block in range(num_prefix_latents):
            for op in planner.plan(Progress(block, num_prefix_latents)):
                if isinstance(op, Prefill):
                    used |= set(op.entry.latents)
                for one in passes_of((op,)):
                    for entry in one.entries:
                        used |= set(entry.latents[: entry.num_pinned_latents])
        return used
