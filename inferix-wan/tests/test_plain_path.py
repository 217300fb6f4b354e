"""What the way of a block through the transformer does not do, and the two ways of laying it out for speed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.errors import UnsupportedError
from inferix_core.events import Timings
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.runtime.state import WorldState
from inferix_core.runtime.transaction import Transaction
from inferix_core.signals import Signal
from inferix_core.specs import ComponentConfig
from inferix_core.text.random_encoder import RandomTextEncoder
from inferix_wan.config import (
    FewStepSolverConfig,
    SelfForcingConfig,
    SelfForcingPlannerConfig,
    WanVaeDecoderConfig,
)
from inferix_wan.configured_model import text_model
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.geometry import wan_geometry
from inferix_wan.model import WanModel
from inferix_wan.planners.self_forcing import SelfForcingPlanner
from inferix_wan.solvers.few_step import FewStepSolver
from inferix_wan.transformer.transformer import WanTransformer
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

CPU, META = torch.device("cpu"), torch.device("meta")
TINY = SelfForcingConfig(size="tiny-random", weights="random", height=32, width=48)


class NoDecoder:
    """A world of which nothing is shown."""

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        raise AssertionError


def tiny(dtype: torch.dtype = torch.float32, **settings: Any) -> WanModel:
    return text_model(TINY.model_copy(update=settings), device=CPU, dtype=dtype)


def engine_of(model: WanModel, device: torch.device = CPU) -> Engine:
    parts = Parts(
        model=model,
        planner=SelfForcingPlanner(SelfForcingPlannerConfig()),
        solver=FewStepSolver(FewStepSolverConfig()),
        store=DenseStore(DenseConfig(), layout=model.layout, capacity=None, device=device, dtype=model.dtype),
        policy=FullPolicy(ComponentConfig()),
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=device,
    )
    if device.type == "meta":
        return Engine(parts, NoDecoder())
    vae = WanVaeDecoderConfig(weights="random", base_dim=4, num_res_blocks=1)
    return Engine(parts, WanVaeDecoder(vae, geometry=model.geometry, device=device, dtype=model.dtype))


def denoised(engine: Engine, state: WorldState) -> None:
    """Makes a block without decoding it."""
    with torch.inference_mode(), Transaction([state]) as transaction:
        plan = engine.denoising.plan(state)
        engine.denoising.run([state], [plan], transaction=transaction, timings=Timings())


def model_without_numbers() -> WanModel:
    """On a device that has no numbers: whoever asks for one there raises."""
    with META:
        transformer = WanTransformer(TINY.dimensions)
    geometry = wan_geometry(TINY.dimensions, height=32, width=48, fps=16.0)
    text = RandomTextEncoder(
        text_dim=TINY.dimensions.text_dim, text_len=TINY.dimensions.text_len, device=CPU, dtype=torch.float32
    )
    return WanModel(transformer.requires_grad_(False), text_encoder=text, geometry=geometry)


def test_a_block_is_denoised_without_asking_the_device_for_a_number() -> None:
    engine = engine_of(model_without_numbers(), META)
    world = engine.create_world("a red ball")
    for _ in range(3):
        denoised(engine, world.state)
    assert world.num_blocks == 3


@pytest.mark.parametrize(
    "ask", [lambda x: x.sum().item(), lambda x: x.cpu(), lambda x: x.nonzero(), lambda x: x.any() and x]
)
def test_the_device_without_numbers_finds_whoever_asks_for_one(ask: Any) -> None:
    model = model_without_numbers()
    model.transformer.blocks[1].ffn.register_forward_pre_hook(lambda _, inputs: [ask(inputs[0]), None][1])
    engine = engine_of(model, META)
    with pytest.raises((RuntimeError, NotImplementedError)):
        denoised(engine, engine.create_world("a red ball").state)


class Rolls(TorchDispatchMode):
    """Counts the tensors that are rolled."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        self.count += func.overloadpacket is torch.ops.aten.roll
        return func(*args, **(kwargs or {}))


def test_no_page_is_rolled() -> None:
    engine = engine_of(tiny())
    world = engine.create_world("a red ball")
    world.step()
    with Rolls() as rolls:
        world.step()
        assert rolls.count == 0
        torch.zeros(2).roll(1)
    assert rolls.count == 1


@contextmanager
def counted(model: WanModel) -> Iterator[list[int]]:
    """How often each layer has projected conditions."""
    numbers = [0] * len(model.layers)
    hooks = []
    for index, block in enumerate(model.transformer.blocks):

        def count(*_: Any, index: int = index) -> None:
            numbers[index] += 1

        hooks.append(block.cross_attn.k.register_forward_hook(count))
    yield numbers
    for hook in hooks:
        hook.remove()


def test_keys_and_values_of_a_prompt_are_made_once_for_each_layer() -> None:
    model = tiny()
    world = engine_of(model).create_world("a red ball")
    with counted(model) as numbers:
        for _ in range(3):
            world.step()
        assert numbers == [1, 1]
        world.step(Signal(prompt="a blue ball"))
        world.step()
        assert numbers == [2, 2]


def frames_of(model: WanModel, num_blocks: int = 3) -> Tensor:
    with engine_of(model).create_world("a red ball", seed=1) as world:
        return torch.cat([world.step().frames for _ in range(num_blocks)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_product_of_queries_keys_and_values_gives_the_same_frames(dtype: torch.dtype) -> None:
    assert torch.equal(frames_of(tiny(dtype, fused_qkv=True)), frames_of(tiny(dtype)))


def test_fused_weights_keep_their_names_and_are_there_once() -> None:
    plain, fused = tiny().transformer, tiny(fused_qkv=True).transformer
    expected = plain.state_dict()
    found = fused.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    attention = fused.blocks[0].self_attn
    storages = {layer.weight.untyped_storage().data_ptr() for layer in (attention.q, attention.k, attention.v)}
    assert len(storages) == 1
    assert attention.q.weight.untyped_storage().nbytes() == 3 * attention.q.weight.nbytes


def test_the_fused_product_is_what_runs() -> None:
    model = tiny(fused_qkv=True)
    calls: list[nn.Module] = []
    for layer in (model.transformer.blocks[0].self_attn.q, model.transformer.blocks[0].self_attn.k):
        layer.register_forward_hook(lambda module, *_: calls.append(module))
    frames_of(model, num_blocks=1)
    assert not calls


class Halves:
    """Packs the layers of that name into half precision."""

    def __init__(self, name: str) -> None:
        self._name = name

    def targets(self, modules: Mapping[str, nn.Module]) -> list[str]:
        return [name for name in modules if name.endswith(self._name)]

    def replace(self, name: str, module: nn.Module) -> nn.Module:
        with META:
            return Packed(module.in_features, module.out_features)  # type: ignore[attr-defined]

    def load(self, name: str, tensor: Tensor) -> Mapping[str, Tensor]:
        return {name: tensor.half()}


class Packed(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


def test_packed_weights_are_not_fused_and_others_are() -> None:
    model = text_model(
        TINY.model_copy(update={"fused_qkv": True}), device=CPU, dtype=torch.float32, quantizer=Halves("ffn.0")
    )
    assert frames_of(model).shape == (33, 32, 48, 3)
    with pytest.raises(UnsupportedError, match=r"packed \(Linear, Packed\).*model.fused_qkv to false"):
        text_model(
            TINY.model_copy(update={"fused_qkv": True}),
            device=CPU,
            dtype=torch.float32,
            quantizer=Halves("self_attn.k"),
        )


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_blocks_agree_and_nothing_is_compiled_anew_for_later_blocks() -> None:
    expected = frames_of(tiny(), num_blocks=5).int()
    counters.clear()
    with engine_of(tiny(compile=True)).create_world("a red ball", seed=1) as world:
        frames = [world.step().frames for _ in range(3)]
        num_graphs = counters["stats"]["unique_graphs"]
        frames += [world.step().frames for _ in range(2)]
    assert counters["stats"]["unique_graphs"] == num_graphs > 0
    assert (torch.cat(frames).int() - expected).abs().max() <= 1
