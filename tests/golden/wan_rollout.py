"""Whole runs of the golden Wan cases through the engine, with recorded noise, every network call written down.

Letters: B worlds, L latents, C channels, h, w latent height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from inferix_core.contracts.kv import KVPolicy
from inferix_core.contracts.model import Condition, Conditions, Layer, LayerContext, PassInput
from inferix_core.contracts.scheduler import Planner, Solver
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.specs import ComponentConfig
from inferix_wan.config import FewStepSolverConfig, SelfForcingPlannerConfig
from inferix_wan.geometry import wan_geometry
from inferix_wan.model import WanModel
from inferix_wan.planners.causvid import CausVidPlanner
from inferix_wan.planners.clip import FewStepClipPlanner, WholeClipPlanner
from inferix_wan.planners.config import (
    CausVidOverlapPlannerConfig,
    CausVidPlannerConfig,
    FewStepClipPlannerConfig,
    GuidedBlocksPlannerConfig,
    WholeClipPlannerConfig,
)
from inferix_wan.planners.guided_blocks import GuidedBlocksPlanner
from inferix_wan.planners.overlap import CausVidOverlapPlanner
from inferix_wan.planners.self_forcing import SelfForcingPlanner
from inferix_wan.solvers.few_step import FewStepSolver
from inferix_wan.solvers.flow import clean_from_flow
from inferix_wan.solvers.schedule import FlowMatchSchedule
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.conditions import NEGATIVE_TEXT
from inferix_wan.transformer.transformer import PassState, WanTransformer
from inferix_wan.vae.model import WanVAE
from outcome import Unsupported
from torch import Tensor

PlannerConfig = (
    SelfForcingPlannerConfig
    | CausVidPlannerConfig
    | CausVidOverlapPlannerConfig
    | GuidedBlocksPlannerConfig
    | WholeClipPlannerConfig
    | FewStepClipPlannerConfig
)


@dataclass(frozen=True, slots=True)
class Call:
    """One forward: flow and clean estimate [B, L, C, h, w]."""

    flow: Tensor
    clean: Tensor


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """A finished block: the clean latents that were decoded for it [B, L, C, h, w], the calls it took, how many latents
    are held after it, what the viewers get of it [B, T, H, W, 3], uint8.
    """

    span: range
    latents: Tensor
    num_calls: int
    num_held: int
    shown: Tensor


@dataclass(frozen=True, slots=True)
class Rollout:
    """Everything that a run left behind."""

    calls: Sequence[Call]
    blocks: Sequence[BlockEnd]
    worlds: Sequence[World]
    num_layers: int
    decoder: RecordingDecoder

    def cache(self, layer: int, *, num_tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values [B, num_tokens, H, D] that a layer holds, zeros behind the last."""
        found = []
        for world in self.worlds:
            cache = world.state.caches["main"]
            segments = cache.segments(layer, [range(latent, latent + 1) for latent in cache.held])
            found.append({name: torch.cat([one[name] for one in segments], dim=1) for name in ("k", "v")})
        keys, values = (torch.cat([one[name] for one in found]) for name in ("k", "v"))
        missing = (0, 0, 0, 0, 0, num_tokens - keys.shape[1])
        return torch.nn.functional.pad(keys, missing), torch.nn.functional.pad(values, missing)

    def text_cache(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values [B, T, H, D] that a layer made of the text."""
        pairs = []
        for world in self.worlds:
            assert world.state.conditions is not None
            pairs.append(world.state.conditions["text"].projected[layer])
        return torch.cat([keys for keys, _ in pairs]), torch.cat([values for _, values in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run is made of. `noise(world, latents, level)` gives recorded noise [L, C, h, w].

    `negative` are the embeds [T, text_dim] of the negative prompt, the same for all worlds.
    """

    constructor: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    planner: PlannerConfig
    embeds: Tensor
    latent_size: tuple[int, int]
    num_latents: int
    noise: Callable[[int, range, int], Tensor]
    solver: Solver = field(default_factory=lambda: FewStepSolver(FewStepSolverConfig()))
    negative: Tensor | None = None
    prefix: Tensor | None = None
    vae: WanVAE | None = None
    dtype: torch.dtype = torch.float32
    recorded_inputs: Sequence[Tensor] | None = None


def transformer_config(constructor: Mapping[str, Any]) -> TransformerConfig:
    """Our configuration from the official constructor's arguments."""
    expected = {"model_type": "t2v", "qk_norm": True, "cross_attn_norm": True, "window_size": [-1, -1]}
    for name, value in expected.items():
        if name in constructor and constructor[name] not in (value, tuple(value) if isinstance(value, list) else value):
            raise Unsupported(f"{name} = {constructor[name]} is not built yet")
    ours = {"in_dim": "in_channels", "out_dim": "out_channels"}
    same = ("dim", "ffn_dim", "num_heads", "num_layers", "freq_dim", "text_dim", "text_len", "eps")
    names = {**ours, **{name: name for name in same}}
    given = {name: constructor[official] for official, name in names.items() if official in constructor}
    return TransformerConfig(**given, patch_size=tuple(constructor.get("patch_size", (1, 2, 2))))


def run(setup: Setup) -> Rollout:
    """Makes all blocks of the run, all worlds together."""
    transformer = WanTransformer(transformer_config(setup.constructor))
    transformer.load_state_dict(setup.weights, strict=True)
    transformer.to(setup.dtype).requires_grad_(False)
    recorder = _RecordingModel(transformer, setup)
    planner = _planner(setup.planner)
    policy = policy_of(setup.constructor)
    device = torch.device("cpu")
    store = DenseStore(
        DenseConfig(),
        layout=recorder.layout,
        capacity=policy.capacity(planner.num_block_latents),
        device=device,
        dtype=setup.dtype,
    )
    parts = Parts(
        model=recorder,
        planner=planner,
        solver=setup.solver,
        store=store,
        policy=policy,
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=device,
    )
    decoder = RecordingDecoder(setup.vae)
    engine = Engine(parts, decoder)
    num_prefix_latents = 0 if setup.prefix is None else setup.prefix.shape[1]
    worlds = [
        engine.create_world(
            str(index),
            prefix=None if setup.prefix is None else setup.prefix[index],
            noise=_Tape(index, setup.noise),
        )
        for index in range(setup.embeds.shape[0])
    ]
    blocks: list[BlockEnd] = []
    while not blocks or blocks[-1].span.stop < num_prefix_latents + setup.num_latents:
        num_calls = len(recorder.calls)
        made = engine.step(worlds)
        latents = torch.stack(decoder.seen[-len(worlds) :])
        num_held = len(worlds[0].state.caches["main"].held)
        shown = torch.stack([block.frames for block in made])
        blocks.append(BlockEnd(made[0].latents, latents, len(recorder.calls) - num_calls, num_held, shown))
    return Rollout(recorder.calls, blocks, worlds, len(recorder.layers), decoder)


def _planner(config: PlannerConfig) -> Planner:
    match config:
        case SelfForcingPlannerConfig():
            return SelfForcingPlanner(config)
        case CausVidOverlapPlannerConfig():
            return CausVidOverlapPlanner(config)
        case CausVidPlannerConfig():
            return CausVidPlanner(config)
        case GuidedBlocksPlannerConfig():
            return GuidedBlocksPlanner(config)
        case WholeClipPlannerConfig():
            return WholeClipPlanner(config)
        case FewStepClipPlannerConfig():
            return FewStepClipPlanner(config)


def policy_of(constructor: Mapping[str, Any]) -> KVPolicy:
    window, sink = constructor.get("local_attn_size", -1), constructor.get("sink_size", 0)
    if window == -1:
        return FullPolicy(ComponentConfig())
    try:
        from inferix_kvstore.policies.configuration import SinkWindowConfig
        from inferix_kvstore.policies.window import SinkWindowPolicy
    except ImportError as error:
        raise Unsupported(f"a window needs inferix-kvstore ({error})") from error
    return SinkWindowPolicy(SinkWindowConfig(num_sink_latents=sink, num_window_latents=window - sink))


class _RecordingModel(WanModel):
    """Makes the prediction of every pass, also of those where the engine has no use for it, and keeps it."""

    def __init__(self, transformer: WanTransformer, setup: Setup) -> None:
        height, width = (8 * size for size in setup.latent_size)
        geometry = wan_geometry(transformer.config, height=height, width=width, fps=16.0)
        super().__init__(transformer, text_encoder=_GivenEmbeds(setup.embeds), geometry=geometry)
        self.calls: list[Call] = []
        self._negative = None if setup.negative is None else self._condition(setup.negative)
        self._schedule = FlowMatchSchedule(shift=setup.planner.shift)
        self._recorded_inputs = setup.recorded_inputs
        self._input: PassInput | None = None
        self.layers: Sequence[Layer] = [*self.layers[:-1], self._recorded(self.layers[-1])]

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        conditions = super().encode(signal, previous)
        return conditions if self._negative is None else {**conditions, NEGATIVE_TEXT: self._negative}

    def _condition(self, embeds: Tensor) -> Condition:
        return Condition(self.transformer.embed_text(embeds.unsqueeze(0)))

    def embed(self, pass_input: PassInput) -> PassState:
        if self._recorded_inputs is not None:
            recorded = self._recorded_inputs[len(self.calls)]
            pass_input = replace(pass_input, latents=recorded.to(self.dtype))
        self._input = pass_input
        return super().embed(pass_input)

    def _recorded(self, last: Layer) -> Layer:
        def layer(state: PassState, context: LayerContext) -> PassState:
            assert self._input is not None
            state = last(state, context)
            flow = self.head(state)
            sigma = self._schedule.sigma(self._input.times[0][0])
            clean = clean_from_flow(self._input.latents, flow, sigma=sigma)
            self.calls.append(Call(flow.float(), clean.float()))
            return state

        return layer


@dataclass(slots=True)
class RecordingDecoder:
    """A VAE, or the identity without one, and what went through it."""

    vae: WanVAE | None = None
    seen: list[Tensor] = field(default_factory=list)
    made: list[Tensor] = field(default_factory=list)
    encoded: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.seen.append(latents)
        if self.vae is None:
            return latents, None
        frames, state = self.vae.decode(latents.unsqueeze(0), state)
        self.made.append(frames[0])
        return frames[0], state

    def encode(self, frames: Tensor, state: Any) -> tuple[Tensor, Any]:
        assert self.vae is not None, "the identity encodes nothing"
        latents, state = self.vae.encode(frames.unsqueeze(0), state)
        self.encoded.append((frames, latents[0]))
        return latents[0], state


@dataclass(frozen=True, slots=True)
class _GivenEmbeds:
    """Takes a prompt for the index of a row."""

    embeds: Tensor

    def encode(self, prompt: str) -> Tensor:
        return self.embeds[int(prompt)]


@dataclass(frozen=True, slots=True)
class _Tape:
    world: int
    noise: Callable[[int, range, int], Tensor]

    def draw(self, latents: range, *, level: int, shape: tuple[int, ...]) -> Tensor:
        return self.noise(self.world, latents, level)
