"""Every rule of the model suite is broken by one model that keeps all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_core.contracts.model import Condition, Conditions, LayerContext, PassInput, Rotary
from inferix_core.signals import Signal
from inferix_core.testing.grid_model import GridModel
from inferix_core.testing.suites import ModelSuite, broken_rules, rules_of
from inferix_core.testing.toys import ToyAutoencoder, ToyBeginning, ToyModel, ToyPlanner, ToyPrefixModel
from torch import Tensor


class WrongGeometry(ToyModel):
    def __init__(self) -> None:
        super().__init__()
        self.geometry = replace(self.geometry, tokens_per_latent=9)


class TooNarrow(ToyModel):
    def head(self, state: Any) -> Tensor:
        return super().head(state)[..., :-1]


class IgnoresLatents(ToyModel):
    def embed(self, pass_input: PassInput) -> Any:
        shape = pass_input.latents.shape
        fixed = torch.randn(shape[1:], generator=torch.Generator().manual_seed(9)).expand(shape)
        return super().embed(replace(pass_input, latents=fixed))


class IgnoresTime(ToyModel):
    def embed(self, pass_input: PassInput) -> Any:
        return super().embed(replace(pass_input, times=[[1.0] * len(row) for row in pass_input.times]))


class IgnoresPrompts(ToyModel):
    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        return super().encode(replace(signal, prompt="x" if signal.prompt else None), previous)


class _ShortSighted:
    """A context in which every token sees itself alone."""

    def __init__(self, context: LayerContext) -> None:
        self._context = context

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        self._context.attend(q, k, v, rotary=rotary)
        return v

    def attend_conditions(self, q: Tensor, parts: Sequence[str], project: Callable[..., Any]) -> Tensor:
        return self._context.attend_conditions(q, parts, project)


class IgnoresTheCache(ToyModel):
    def __init__(self) -> None:
        super().__init__()
        inner = self.layers
        self.layers = [lambda state, context, layer=layer: layer(state, _ShortSighted(context)) for layer in inner]


class RotatesByTable(ToyModel):
    def embed(self, pass_input: PassInput) -> Any:
        if max(max(row) for row in pass_input.positions) >= 1024:
            raise IndexError("the table of angles ends at 1024")
        return super().embed(pass_input)


class RemembersThePassBefore(ToyModel):
    before: Tensor | None = None

    def head(self, state: Any) -> Tensor:
        prediction = super().head(state)
        result = prediction if self.before is None else prediction + 0.01 * self.before
        self.before = prediction
        return result


class MixesWorlds(ToyModel):
    def head(self, state: Any) -> Tensor:
        prediction = super().head(state)
        return prediction - 0.1 * prediction.mean(0) if len(prediction) > 1 else prediction


class SpoilsLatents(ToyModel):
    def embed(self, pass_input: PassInput) -> Any:
        state = super().embed(pass_input)
        pass_input.latents.zero_()
        return state


class FlatTokens(ToyModel):
    def __init__(self) -> None:
        super().__init__()
        self._extra = Condition(torch.zeros(3, 8))

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        return {**super().encode(signal, previous), "extra": self._extra}


class NeedsAPrompt(ToyModel):
    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        assert signal.prompt or signal.action or previous
        return super().encode(signal, previous)


class EncodesAnew(ToyModel):
    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        return {name: Condition(part.tokens) for name, part in super().encode(signal, previous).items()}


class OverwritesTheText(ToyModel):
    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        conditions = super().encode(signal, previous)
        if previous is not None and signal.prompt is not None:
            previous["text"].tokens.copy_(conditions["text"].tokens)
        return conditions


class UnderstandsEverything(ToyModel):
    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        return super().encode(replace(signal, action=None), previous)


class EndsInsideABlock(ToyPrefixModel):
    def encode_prefix(self, frames: Tensor, **environment: Any) -> ToyBeginning:
        return replace_latents(super().encode_prefix(frames, **environment), lambda latents: latents[:-1])


class LoosensItsParts(ToyPrefixModel):
    def encode_prefix(self, frames: Tensor, **environment: Any) -> ToyBeginning:
        begun = super().encode_prefix(frames, **environment)
        loose = Condition(begun.latents.flatten(1))
        return ToyBeginning(begun.latents, {"loose": loose})


class LooksAway(ToyPrefixModel):
    def encode_prefix(self, frames: Tensor, *, fit: str | None, **environment: Any) -> ToyBeginning:
        begun = super().encode_prefix(frames, fit=fit, **environment)
        return replace_latents(
            begun, lambda latents: torch.full_like(latents, float(("pad", "stretch", fit).index(fit)))
        )


class BeginsOtherwiseEachTime(ToyPrefixModel):
    num_begun = 0

    def encode_prefix(self, frames: Tensor, **environment: Any) -> ToyBeginning:
        self.num_begun += 1
        begun = super().encode_prefix(frames, **environment)
        return replace_latents(begun, lambda latents: latents + self.num_begun)


class AlwaysCrops(ToyPrefixModel):
    def encode_prefix(self, frames: Tensor, *, fit: str | None, **environment: Any) -> ToyBeginning:
        return super().encode_prefix(frames, fit="crop", **environment)


class SpoilsPictures(ToyPrefixModel):
    def encode_prefix(self, frames: Tensor, **environment: Any) -> ToyBeginning:
        begun = super().encode_prefix(frames, **environment)
        frames.zero_()
        return begun


class TakesAnything(ToyPrefixModel):
    def encode_prefix(self, frames: Tensor, **environment: Any) -> ToyBeginning:
        return super().encode_prefix(frames.to(torch.uint8), **environment)


def replace_latents(begun: ToyBeginning, change: Callable[[Tensor], Tensor]) -> ToyBeginning:
    return ToyBeginning(change(begun.latents), begun.conditions)


class ComputesOtherTokens(GridModel):
    def shard(self, state: Any, tokens: range) -> Any:
        return super().shard(state, range(len(tokens)))


class ForgetsTheTokens(GridModel):
    def with_tokens(self, state: Any, tokens: Tensor) -> Any:
        return state


BROKEN: dict[str, type[ToyModel | GridModel]] = {
    "test_geometry_and_layout_agree_with_the_layers": WrongGeometry,
    "test_a_prediction_has_the_shape_of_the_latents": TooNarrow,
    "test_the_latents_matter": IgnoresLatents,
    "test_the_time_matters": IgnoresTime,
    "test_the_conditions_matter": IgnoresPrompts,
    "test_what_is_cached_matters": IgnoresTheCache,
    "test_any_position_is_valid": RotatesByTable,
    "test_nothing_is_kept_from_pass_to_pass": RemembersThePassBefore,
    "test_worlds_in_one_batch_are_as_each_alone": MixesWorlds,
    "test_the_latents_that_are_given_stay_as_they_are": SpoilsLatents,
    "test_conditions_are_named_parts_of_tokens": FlatTokens,
    "test_a_world_without_a_signal_has_conditions": NeedsAPrompt,
    "test_parts_that_a_signal_does_not_change_stay_the_same_objects": EncodesAnew,
    "test_what_was_encoded_before_stays_as_it_is": OverwritesTheText,
    "test_a_signal_that_is_not_understood_is_a_signal_error": UnderstandsEverything,
    "test_the_planner_goes_on_from_all_of_a_beginning": EndsInsideABlock,
    "test_a_beginning_is_latents_or_parts_of_conditions": LoosensItsParts,
    "test_the_frames_of_a_beginning_matter": LooksAway,
    "test_the_same_frames_begin_the_same": BeginsOtherwiseEachTime,
    "test_another_aspect_ratio_is_cropped_padded_or_stretched": AlwaysCrops,
    "test_the_frames_of_a_beginning_stay_as_they_are": SpoilsPictures,
    "test_what_are_no_frames_is_a_config_error": TakesAnything,
    "test_a_share_of_the_tokens_makes_its_share_of_the_prediction_where_that_is_declared": ComputesOtherTokens,
    "test_layers_on_two_ranks_make_the_prediction_where_that_is_declared": ForgetsTheTokens,
}


class PrefixCases(ModelSuite):
    """What the rules of beginnings need; not collected under this name."""

    def encoder(self) -> ToyAutoencoder:
        return ToyAutoencoder()

    def planner(self) -> ToyPlanner:
        return ToyPlanner()


class TestToyPrefixModel(PrefixCases):
    provides = frozenset({"image-prefix", "video-prefix"})
    misunderstood = Signal(action="fly")

    def model(self) -> ToyPrefixModel:
        return ToyPrefixModel()


class TestToyModel(ModelSuite):
    misunderstood = Signal(action="fly")

    def model(self) -> ToyModel:
        return ToyModel()


class TestGridModel(ModelSuite):
    provides = frozenset({"token-sharding", "layer-stages"})

    def model(self) -> GridModel:
        return GridModel()


@pytest.mark.parametrize("name", rules_of(ModelSuite))
def test_the_model_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    begun = broken() if issubclass(broken, ToyPrefixModel) else None  # one, since some break the rule the second time
    begins = frozenset() if begun is None else frozenset({"image-prefix", "video-prefix"})

    class Cases(PrefixCases):
        provides = TestGridModel.provides if issubclass(broken, GridModel) else begins
        misunderstood = None if issubclass(broken, GridModel) else Signal(action="fly")

        def model(self) -> ToyModel | GridModel:
            return begun if begun is not None else broken()

    assert broken_rules(Cases(), tmp_path) == [name]
