"""Weights go into a network one by one, and a quantizer has its say where the model provides for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from inferix_core.catalog import Catalog
from inferix_core.errors import CheckpointError, PluginError, UnsupportedError
from inferix_core.runtime.engine import Engine
from inferix_core.weights import assign_weights
from torch import Tensor, nn

PLUGIN = """
from inferix_core.testing.toys import ToyDecoder, ToyModel, ToyPlanner, ToySolver

GIVEN = []

def model(config, **environment):
    GIVEN.append(environment)
    return ToyModel()

def quantizer(config, *, device):
    return "the quantizer"

def spec(name, implementation, kind=Spec, **more):
    return kind(name=name, summary="a toy", implementation=f"plugin_toys:{implementation}", **more)

planner, solver, decoder = lambda _: ToyPlanner(), lambda _: ToySolver(), lambda _, **__: ToyDecoder()
PRESET = {"planner": {"use": "p"}, "solver": {"use": "s"}, "decoder": {"use": "d"}}

@hookimpl
def inferix_models():
    yield spec("plain", "model", ModelSpec, preset=PRESET)
    yield spec("packing", "model", ModelSpec, preset=PRESET, provides=frozenset({"quantize"}))

@hookimpl
def inferix_quantizers():
    yield spec("q", "quantizer")

@hookimpl
def inferix_schedulers():
    yield spec("p", "planner")

@hookimpl
def inferix_solvers():
    yield spec("s", "solver")

@hookimpl
def inferix_decoders():
    yield spec("d", "decoder")
"""


class Halves:
    """A quantizer of linear layers that keeps half of each weight; `lost` of its tensors are forgotten."""

    def __init__(self, *, targets: Sequence[str], lost: int = 0) -> None:
        self._targets = targets
        self._lost = lost

    def targets(self, modules: Mapping[str, nn.Module]) -> Sequence[str]:
        return self._targets

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        return nn.Linear(4, 2, device="meta")

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        return {} if self._lost and name.endswith("bias") else {name: tensor[:2]}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4, device="meta"), nn.Linear(4, 4, device="meta"))


def arriving() -> Iterator[tuple[str, Tensor]]:
    for name, value in network().state_dict().items():
        yield name, torch.ones(value.shape)


def test_targets_are_replaced_and_the_rest_is_as_it_arrived() -> None:
    module = network()
    assign_weights(module, arriving(), quantizer=Halves(targets=["1"]))
    assert [tuple(layer.weight.shape) for layer in module] == [(4, 4), (2, 4)]
    assert module(torch.ones(1, 4)).tolist() == [[21.0, 21.0]]
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_a_network_is_left_alone_when_a_weight_cannot_be_read() -> None:
    def broken() -> Iterator[tuple[str, Tensor]]:
        yield next(arriving())
        raise CheckpointError("truncated")

    module = network()
    before = list(module)
    with pytest.raises(CheckpointError):
        assign_weights(module, broken(), quantizer=Halves(targets=["0", "1"]))
    assert list(module) == before
    assert all(parameter.is_meta for parameter in module.parameters())


@pytest.mark.parametrize(
    ("quantizer", "words"),
    [(Halves(targets=["7"]), "replace 7"), (Halves(targets=["1"], lost=1), "whose stand-in takes")],
)
def test_a_quantizer_that_does_not_fit_is_told_of(quantizer: Halves, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        assign_weights(network(), arriving(), quantizer=quantizer)


def test_a_model_is_given_the_quantizer_if_it_provides_for_one_and_no_other_is(install: Callable[..., Path]) -> None:
    install("toys", PLUGIN)
    catalog = Catalog.discover()
    Engine.load(config={"model": {"use": "packing"}, "quantizer": {"use": "q"}, "device": "cpu"}, catalog=catalog)
    Engine.load(config={"model": {"use": "packing"}, "device": "cpu"}, catalog=catalog)
    import plugin_toys  # type: ignore[import-not-found]

    assert [given.get("quantizer") for given in plugin_toys.GIVEN] == ["the quantizer", None]
    with pytest.raises(UnsupportedError, match="the model 'plain' does not provide 'quantize'"):
        Engine.load(config={"model": {"use": "plain"}, "quantizer": {"use": "q"}, "device": "cpu"}, catalog=catalog)
