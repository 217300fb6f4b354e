"""The rules of models, run through the core's own pass over its plain store.

Letters: B worlds, L latents, C channels, T condition tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from inferix_core.contracts.kv import KVCache
from inferix_core.contracts.model import Condition, Conditions, Model
from inferix_core.contracts.parallel import ParallelStrategy, Ranks
from inferix_core.errors import SignalError
from inferix_core.runtime.spread import Sharded
from inferix_core.signals import Signal
from inferix_core.testing.ranks import on_ranks
from inferix_core.testing.suites.base import rule
from inferix_core.testing.suites.forward import forward
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged
from inferix_core.testing.suites.prefix import PrefixRules
from inferix_core.testing.toy_engine import toy_store
from inferix_core.testing.toy_strategy import ToyStages, ToyStrategy

FAR = 1_000_000
TOKEN_SHARDING, LAYER_STAGES = "token-sharding", "layer-stages"


class ModelSuite(PrefixRules):
    """Supply `model`, small and on the CPU; two `prompts` that it tells apart, and a signal it does not understand.

    For a model that provides "image-prefix" or "video-prefix" supply the `encoder` and the `planner` of its preset.
    """

    prompts: tuple[str, str] = ("a red ball", "a blue box")
    misunderstood: Signal | None = None
    num_latents = 2
    tolerance = 1e-4
    """How far predictions may differ when worlds run in one batch: kernels choose other orders of summation."""

    @rule
    def test_geometry_and_layout_agree_with_the_layers(self) -> None:
        model = self.model()
        assert model.layout.tokens_per_latent == model.geometry.tokens_per_latent
        assert model.layout.num_layers == len(model.layers)
        assert model.layout.fields, "the layout names what a token keeps"

    @rule
    def test_a_prediction_has_the_shape_of_the_latents(self) -> None:
        latents = self._latents(0)
        prediction = self._predict([latents])
        assert prediction.shape == (1, *latents.shape)
        assert bool(prediction.isfinite().all())

    @rule
    def test_the_latents_matter(self) -> None:
        assert not torch.equal(self._predict([self._latents(0)]), self._predict([self._latents(1)]))

    @rule
    def test_the_time_matters(self) -> None:
        latents = [self._latents(0)]
        assert not torch.equal(self._predict(latents, time=900.0), self._predict(latents, time=100.0))

    @rule
    def test_the_conditions_matter(self) -> None:
        predictions = [
            self._predict([self._latents(0)], conditions=[self._conditions(prompt)]) for prompt in self.prompts
        ]
        assert not torch.equal(*predictions)

    @rule
    def test_what_is_cached_matters(self) -> None:
        model = self.model()
        with_history, without = self._cache(model), self._cache(model)
        self._predict([self._latents(5)], time=0.0, caches=[with_history])
        with_history.commit(range(self.num_latents))
        seeing, blind = (
            self._predict([self._latents(0)], caches=[cache], first_latent=self.num_latents)
            for cache in (with_history, without)
        )
        assert not torch.equal(seeing, blind)

    @rule
    def test_any_position_is_valid(self) -> None:
        assert bool(self._predict([self._latents(0)], first_latent=FAR).isfinite().all())

    @rule
    def test_nothing_is_kept_from_pass_to_pass(self) -> None:
        model = self.model()
        first = self._predict([self._latents(0)], model=model)
        self._predict([self._latents(1)], time=100.0, conditions=[self._conditions(self.prompts[1])], model=model)
        assert torch.equal(self._predict([self._latents(0)], model=model), first)

    @rule
    def test_worlds_in_one_batch_are_as_each_alone(self) -> None:
        latents = [self._latents(0), self._latents(1)]
        conditions = [self._conditions(prompt) for prompt in self.prompts]
        together = self._predict(latents, conditions=conditions)
        for b, (one, its_conditions) in enumerate(zip(latents, conditions, strict=True)):
            alone = self._predict([one], conditions=[its_conditions])[0]
            torch.testing.assert_close(together[b], alone, atol=self.tolerance, rtol=self.tolerance)

    @rule
    def test_the_latents_that_are_given_stay_as_they_are(self) -> None:
        latents = [self._latents(0)]
        copies = copies_of(latents)
        self._predict(latents)
        assert is_unchanged(latents, copies)

    @rule
    def test_conditions_are_named_parts_of_tokens(self) -> None:
        for name, part in self._conditions(self.prompts[0]).items():
            assert isinstance(name, str)
            assert isinstance(part, Condition)
            assert part.tokens.ndim == 3, f"'{name}' is {tuple(part.tokens.shape)}, not [1, T, width]"
            assert part.tokens.shape[0] == 1

    @rule
    def test_a_world_without_a_signal_has_conditions(self) -> None:
        conditions = self.model().encode(Signal(), None)
        assert bool(self._predict([self._latents(0)], conditions=[conditions]).isfinite().all())

    @rule
    def test_parts_that_a_signal_does_not_change_stay_the_same_objects(self) -> None:
        model = self.model()
        first = model.encode(Signal(prompt=self.prompts[0]), None)
        second = model.encode(Signal(), first)
        assert first.keys() == second.keys()
        anew = [name for name, part in first.items() if second[name] is not part]
        assert not anew, f"{', '.join(anew)} would be projected again for every block"

    @rule
    def test_what_was_encoded_before_stays_as_it_is(self) -> None:
        model = self.model()
        first = model.encode(Signal(prompt=self.prompts[0]), None)
        parts, copies = dict(first), copies_of([part.tokens for part in first.values()])
        model.encode(Signal(prompt=self.prompts[1]), first)
        assert dict(first) == parts
        assert is_unchanged([part.tokens for part in first.values()], copies)

    @rule
    def test_a_signal_that_is_not_understood_is_a_signal_error(self) -> None:
        if self.misunderstood is None:
            return
        with pytest.raises(SignalError):
            self.model().encode(self.misunderstood, None)

    @rule
    def test_a_share_of_the_tokens_makes_its_share_of_the_prediction_where_that_is_declared(self) -> None:
        if TOKEN_SHARDING not in self.provides:
            return  # then nobody relies on it
        self._check_on_ranks(ToyStrategy, sharded=True)

    @rule
    def test_layers_on_two_ranks_make_the_prediction_where_that_is_declared(self) -> None:
        if LAYER_STAGES not in self.provides:
            return
        self._check_on_ranks(ToyStages, sharded=False)

    def _check_on_ranks(self, strategy: Callable[..., ParallelStrategy], *, sharded: bool) -> None:
        expected = self._predict([self._latents(0)], first_latent=self.num_latents)
        for found in on_ranks(2, self._predict_on, strategy, sharded):
            torch.testing.assert_close(found, expected, atol=self.tolerance, rtol=self.tolerance)

    def _predict_on(self, ranks: Ranks, strategy: Callable[..., ParallelStrategy], sharded: bool) -> Tensor:
        """What one of several ranks predicts."""
        model = self.model()
        made = strategy(ranks=ranks, layout=model.layout)
        spread = Sharded(made, ranks=ranks, whole=model.layout, shards_tokens=sharded)
        return forward(
            model,
            [self._latents(0)],
            caches=[toy_store(model, layout=spread.layout).create()],
            conditions=[self._conditions(self.prompts[0])],
            time=900.0,
            first_latent=self.num_latents,
            spread=spread,
        )

    def _latents(self, seed: int) -> Tensor:
        """`[L, C, h, w]`."""
        model = self.model()
        shape = (self.num_latents, *model.geometry.latent_shape)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(model.latent_dtype)

    def _conditions(self, prompt: str) -> Conditions:
        return self.model().encode(Signal(prompt=prompt), None)

    def _cache(self, model: Model) -> KVCache:
        return toy_store(model).create()

    def _predict(
        self,
        latents: Sequence[Tensor],
        *,
        time: float = 900.0,
        first_latent: int = 0,
        conditions: Sequence[Conditions] | None = None,
        caches: Sequence[KVCache] | None = None,
        model: Model | None = None,
    ) -> Tensor:
        """The prediction `[B, L, C, h, w]` for one block of each world."""
        model = model or self.model()
        return forward(
            model,
            latents,
            caches=caches or [self._cache(model) for _ in latents],
            conditions=conditions or [self._conditions(self.prompts[0])] * len(latents),
            time=time,
            first_latent=first_latent,
        )
