"""Runner of MAGI-1's golden cases of whole videos: through the engine, with recorded noise and given captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from fake_velocity import Record, RecordedNoise, RecordingDecoder
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import Level, Pass
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.specs import ComponentConfig
from inferix_magi.captions import SpecialTokens
from inferix_magi.config import VelocityConfig
from inferix_magi.geometry import magi_geometry
from inferix_magi.model import MagiModel
from inferix_magi.planner import MagiPlanner
from inferix_magi.ranges import MagiRanges
from inferix_magi.schedule import num_blocks_for
from inferix_magi.solver import VelocitySolver
from inferix_magi.transformer.transformer import MagiTransformer
from magi_network import network_of
from magi_transport import planner_config, policy_config
from torch import Tensor

Tensors = Mapping[str, Tensor]
CPU = torch.device("cpu")
_LEADING = ("PAD_2DANIME", "PAD_3DMODEL", "PAD_HQ", "PAD_BORDERNESS", "PAD_DYNAMIC", "PAD_STATIC")
"""The flags of rows before a caption, in the order in which the rows come to lie."""
_ROWS = {
    "TRANS": 0,
    "PAD_HQ": 1,
    "PAD_STATIC": 2,
    "PAD_DYNAMIC": 3,
    "PAD_BORDERNESS": 4,
    "PAD_3DMODEL": 15,
    "PAD_2DANIME": 16,
}
_DURATIONS = slice(7, 15)


def run_videos(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Every video of a case: emitted chunks, and all latents after some steps."""
    network = network_of(case, tensors)
    outputs: dict[str, Tensor] = {}
    for run in case["call"]["runs"]:
        prefix = run["prefix_key"]
        given = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
        special = _special_tokens(tensors, run["env"])
        for name, value in _video(network, run, given, special).items():
            outputs[f"{prefix}{name}"] = value
    return outputs


def _video(
    network: MagiTransformer, run: Mapping[str, Any], given: Tensors, special: SpecialTokens
) -> dict[str, Tensor]:
    noise = given["noise"]
    height, width = (8 * size for size in noise.shape[3:])
    geometry = magi_geometry(network.config, height=height, width=width, fps=24.0)
    model = MagiModel(
        network,
        text_encoder=_GivenEmbeds(given["caption_embs"][0, 0]),
        geometry=geometry,
        special_tokens=special,
        distilled=run["engine_config"]["distill"],
    )
    weight = {"near_clean_history_weight": float(run["env"].get("prev_chunks_scale", 0.7))}
    planner = MagiPlanner(planner_config(run).model_copy(update=weight))
    policy = MagiRanges(policy_config(run), planner=planner)
    capacity = policy.capacity(planner.num_block_latents)
    solver, record = _RecordingSolver(), Record()
    parts = Parts(
        model=model,
        planner=planner,
        solver=solver,
        store=DenseStore(DenseConfig(), layout=model.layout, capacity=capacity, device=CPU, dtype=torch.float32),
        policy=policy,
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=CPU,
    )
    prefix = given["prefix_video"][0].transpose(0, 1) if "prefix_video" in given else None
    runtime = run["runtime_config"]
    num_blocks = num_blocks_for(
        runtime["num_frames"],
        num_prefix_latents=0 if prefix is None else len(prefix),
        num_block_latents=runtime["chunk_width"],
    )
    size = runtime["chunk_width"]
    engine = Engine(parts, RecordingDecoder(record))
    latents = noise.clone()
    states: list[Tensor] = []
    with engine.create_world(
        "", prefix=prefix, num_blocks=num_blocks, noise=RecordedNoise(_as_latents(noise))
    ) as world:
        for _ in range(num_blocks):
            passes = [op for op in planner.plan(world.state.progress) if isinstance(op, Pass) and op.updates]
            world.step()
            updates = iter(solver.taken())
            for one in passes:
                latents = latents.clone()
                for update in one.updates:
                    latents[0, :, update.block * size : (update.block + 1) * size] = next(updates).transpose(0, 1)
                states.append(latents)
    emitted = {f"chunk{index}": one.transpose(0, 1).unsqueeze(0) for index, one in enumerate(record.decoded)}
    after = {f"x_after_step{step}": states[step] for step in (0, 3)}
    return {**emitted, **after, "final_x": states[-1], "stats": torch.stack([_statistics(one) for one in states])}


def _statistics(x: Tensor) -> Tensor:
    return torch.stack([x.mean(), x.std(), x.abs().max(), x.abs().sum()])


def _special_tokens(tensors: Tensors, flags: Mapping[str, str]) -> SpecialTokens:
    """The rows that a run's flags ask for."""
    others = tensors["tok.other_tokens"]
    leading = [others[_ROWS[flag]] for flag in _LEADING if flag in flags]
    negative = [others[_ROWS["PAD_BORDERNESS"]], others[_ROWS["TRANS"]], tensors["tok.logo_token"][0]]
    negative.append(tensors["tok.caption_token"][0])
    nothing = others[:0]
    return SpecialTokens(
        leading=torch.stack(leading) if leading else nothing,
        durations=others[_DURATIONS] if "PAD_DURATION" in flags else nothing,
        negative=torch.stack(negative) if "NEG_PROMPT" in flags else nothing,
    )


def _as_latents(video: Tensor) -> Tensor:
    """`[1, C, L, h, w]` as `[L, C, h, w]`."""
    return video[0].transpose(0, 1)


@dataclass(frozen=True, slots=True)
class _GivenEmbeds:
    """A text encoder that has read one prompt."""

    embeds: Tensor

    def encode(self, prompt: str) -> Tensor:
        return self.embeds


@dataclass(slots=True)
class _RecordingSolver:
    """The solver, with all that it returned since it was last asked."""

    solver: VelocitySolver = field(default_factory=lambda: VelocitySolver(VelocityConfig()))
    seen: list[Tensor] = field(default_factory=list)

    def taken(self) -> Iterator[Tensor]:
        seen, self.seen = self.seen, []
        return iter(seen)

    def update(
        self,
        latents: Tensor,
        prediction: Tensor,
        *,
        level: Level,
        target: Level,
        noise: Callable[[], Tensor],
        history: Any,
    ) -> tuple[Tensor, None]:
        moved, none = self.solver.update(latents, prediction, level=level, target=target, noise=noise, history=history)
        self.seen.append(moved)
        return moved, none
