"""Runner of MAGI-1's golden case of guided and distilled steps: the planner's passes, weighed as the loop does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from inferix_core.contracts.model import Condition
from inferix_core.plan import Entry, Level, Pass, Update
from inferix_magi.config import MagiPlannerConfig
from inferix_magi.guidance import NULL, GuidanceScales
from inferix_magi.passes import DistilledPass, GuidedPasses, Moment, Moving
from inferix_magi.schedule import step_size
from magi_forwards import token_ranges
from magi_network import Forwards, as_latents, network_of
from torch import Tensor

_CLEAN_INDEX = 1000


def run_guidance(case: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Calls of one group share a cache, in order."""
    network = network_of(case, tensors)
    outputs: dict[str, Tensor] = {}
    for group in ("cfg3", "cfg1"):
        x = tensors[f"{group}_0.x"]
        forwards = Forwards(network, latent_size=(x.shape[3], x.shape[4]))
        for call in case["call"][group]:
            tag = call["tag"]
            given = {name.removeprefix(f"{tag}."): one for name, one in tensors.items() if name.startswith(f"{tag}.")}
            config = _planner_config(case["config"][f"runtime_config_{group}"], group, call)
            step = _Step(forwards, call, given, config, size=case["call"]["chunk_width"])
            outputs |= {f"{tag}.{name}": value for name, value in step.run().items()}
    return outputs


class _Step:
    """One call: the chunks in flight, oldest first, perhaps with a clean one before them."""

    def __init__(
        self,
        forwards: Forwards,
        call: Mapping[str, Any],
        given: Mapping[str, Tensor],
        config: MagiPlannerConfig,
        *,
        size: int,
    ) -> None:
        self._forwards, self._given, self._config, self._size = forwards, given, config, size
        self._first = call["slice_point"]
        times = [float(time) for time in given["t"]]
        self._blocks = range(self._first, self._first + len(times))
        self._has_clean = call["fwd_extra_1st_chunk"]
        clean, *rest = self._blocks if self._has_clean else (None, *self._blocks)
        at = dict(zip(self._blocks, times, strict=True))
        levels = {block: Level(0, at[block], 1.0 - at[block]) for block in rest}
        moving = tuple(Moving(Update(block, levels[block], levels[block]), self._span(block), 0) for block in rest)
        clean_entry = None
        if clean is not None:
            level = Level(_CLEAN_INDEX, at[clean], 0.0)
            clean_entry = Entry(clean, self._span(clean), clean * size, level, NULL, weight=0.0)
        told = step_size(call["num_steps"], interval=call["distill_interval"])
        self._moment = Moment(moving=moving, clean=clean_entry, finishes=(), step_size=told)

    def run(self) -> dict[str, Tensor]:
        """The weighed velocity; under guidance also the three that are weighed, and the scales."""
        self._forwards.commit(self._first * self._size)
        if self._config.guidance == "distilled":
            (one,) = DistilledPass(self._config).of(self._moment)
            return {"out": self._weighed([one])}
        scales = GuidanceScales(self._config.guidance_times, self._config.history_scales, self._config.text_scales)
        times = [float(time) for time in self._given["t"]]
        found = torch.tensor([scales.scales(time) for time in times])
        outputs = {"scales": found, **self._parts()}
        return {**outputs, "out": self._weighed(GuidedPasses(self._config).of(self._moment))}

    def _parts(self) -> dict[str, Tensor]:
        """What is predicted with and without text, and alone, whatever the weights."""
        everything = self._config.model_copy(
            update={"guidance_times": (0.0,), "history_scales": (1.5,), "text_scales": (7.5,)}
        )
        text, alone, history = GuidedPasses(everything).of(self._moment)
        return {
            "cond_pre_text": self._video(self._velocity(text)),
            "uncond": self._video(self._velocity(alone)),
            "cond_pre": self._video(self._velocity(history)),
        }

    def _weighed(self, passes: Sequence[Pass]) -> Tensor:
        """All chunks. Of a clean one the case holds its latents under guidance, and else what was predicted."""
        total: dict[int, Tensor] = {}
        for one in passes:
            velocity, start = self._velocity(one), 0
            for entry in one.entries:
                part = velocity[start : start + self._size]
                start += self._size
                if entry.level.index == _CLEAN_INDEX:
                    guided = self._config.guidance == "three-way"
                    total[entry.block] = self._latents()[self._part(entry.block)] if guided else part
                else:
                    total[entry.block] = total.get(entry.block, torch.zeros_like(part)) + entry.weight * part
        return self._video(torch.cat([total[block] for block in self._blocks]))

    def _velocity(self, one: Pass) -> Tensor:
        """[L, C, h, w] of a pass."""
        x = self._latents()
        latents = torch.cat([x[self._part(entry.block)] for entry in one.entries])
        ranges = token_ranges(
            self._given["kv_range"], first=self._first, tokens_per_latent=self._forwards.tokens_per_latent
        )
        captions = [self._caption(entry) for entry in one.entries]
        recorded = self._forwards.run(latents.unsqueeze(0), one, captions=[captions], ranges=ranges)
        return recorded.velocity[0]

    def _caption(self, entry: Entry) -> Condition:
        """Text rows come before null rows; a clean chunk has the rows that it was given."""
        index = entry.block - self._first + (len(self._blocks) if entry.branch == NULL else 0)
        return self._forwards.caption(self._given["y"][index, 0], self._given["mask"][index, 0])

    def _latents(self) -> Tensor:
        return self._given["x"][0].transpose(0, 1)

    def _span(self, block: int) -> range:
        return range(block * self._size, (block + 1) * self._size)

    def _part(self, block: int) -> slice:
        start = (block - self._first) * self._size
        return slice(start, start + self._size)

    def _video(self, latents: Tensor) -> Tensor:
        return as_latents(latents.unsqueeze(0))


def _planner_config(runtime: Mapping[str, Any], group: str, call: Mapping[str, Any]) -> MagiPlannerConfig:
    told = call["prev_chunks_scale_env"]
    return MagiPlannerConfig(
        num_steps=runtime["num_steps"],
        guidance="three-way" if group == "cfg3" else "distilled",
        guidance_times=tuple(runtime["cfg_t_range"]),
        history_scales=tuple(runtime["prev_chunk_scales"]),
        text_scales=tuple(runtime["text_scales"]),
        near_clean_history_weight=0.7 if told.startswith("unset") else float(told),
    )
