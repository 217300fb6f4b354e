"""Every rule of the quantizer suite is broken by one quantizer that keeps all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest
import torch
from inferix_core.testing.suites import QuantizerSuite, broken_rules, rules_of
from torch import Tensor, nn


class RowInt8(nn.Module):
    """A linear layer whose weight is eight bits with a scale for each row."""

    def __init__(self, linear: nn.Linear, *, device: str = "meta") -> None:
        super().__init__()
        rows, columns = linear.weight.shape
        self.register_buffer("weight", torch.empty(rows, columns, dtype=torch.int8, device=device))
        self.register_buffer("scale", torch.empty(rows, device=device))
        has_bias = linear.bias is not None
        self.register_buffer("bias", torch.empty(rows, device=device) if has_bias else None)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, (self.weight * self.scale[:, None]).to(x.dtype), self.bias)


class RowQuantizer:
    """All linear layers."""

    largest = 127

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        return [name for name, module in modules.items() if isinstance(module, nn.Linear)]

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        assert isinstance(module, nn.Linear)
        return RowInt8(module)

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        if not name.endswith(".weight"):
            return {name: tensor}
        scale = tensor.abs().amax(1) / self.largest
        return {name: (tensor / scale[:, None]).round().to(torch.int8), f"{name[:-6]}scale": scale}


class NamesTwice(RowQuantizer):
    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        return [*super().targets(modules), "last"]


class AnswersOnce(RowQuantizer):
    num_calls = 0

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        self.num_calls += 1
        return super().targets(modules) if self.num_calls == 1 else []


class TakesMemory(RowQuantizer):
    def replace(self, name: str, module: nn.Module) -> nn.Module:
        assert isinstance(module, nn.Linear)
        return RowInt8(module, device="cpu")


class SpoilsTheModule(RowQuantizer):
    def replace(self, name: str, module: nn.Module) -> nn.Module:
        stand_in = super().replace(name, module)
        with torch.no_grad():
            module.weight.zero_()
        return stand_in


class WideScale(RowQuantizer):
    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        return {key: value.double() if "scale" in key else value for key, value in super().load(name, tensor).items()}


class SpoilsTheWeight(RowQuantizer):
    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        loaded = super().load(name, tensor)
        if name.endswith(".weight"):
            tensor.zero_()
        return loaded


class KeepsAView(RowQuantizer):
    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        return {key: value[:] if value is tensor else value for key, value in super().load(name, tensor).items()}


class Dithers(RowQuantizer):
    seeds = count()

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        shift = 1 + 1e-6 * (next(self.seeds) % 7)
        return {key: value * shift if "scale" in key else value for key, value in super().load(name, tensor).items()}


class TooCoarse(RowQuantizer):
    largest = 3


BROKEN: dict[str, type[RowQuantizer]] = {
    "test_targets_are_layers_of_the_network": NamesTwice,
    "test_the_same_network_has_the_same_targets": AnswersOnce,
    "test_a_stand_in_is_made_on_the_meta_device": TakesMemory,
    "test_the_module_that_is_replaced_stays_as_it_is": SpoilsTheModule,
    "test_the_weights_of_a_target_cover_its_stand_in": WideScale,
    "test_an_arriving_weight_stays_as_it_is": SpoilsTheWeight,
    "test_a_packed_weight_does_not_keep_the_original_in_memory": KeepsAView,
    "test_the_same_weights_are_packed_to_the_same_bits": Dithers,
    "test_the_error_is_not_larger_than_stated": TooCoarse,
}


class TestRowQuantizer(QuantizerSuite):
    max_relative_error = 0.02

    def quantizer(self) -> RowQuantizer:
        return RowQuantizer()


@pytest.mark.parametrize("name", rules_of(QuantizerSuite))
def test_the_quantizer_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(QuantizerSuite):
        max_relative_error = 0.02

        def quantizer(self) -> RowQuantizer:
            return BROKEN[name]()

    assert broken_rules(Cases(), tmp_path) == [name]
