"""What the runners of whole generations share: recorded noise in, tensors by their golden names out.

Letters: B worlds, L latents, C channels, h, w latent height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from inferix_wan.solvers.schedule import FlowMatchSchedule
from torch import Tensor
from wan_rollout import Rollout

Tensors = Mapping[str, Tensor]
Noise = Callable[[int, range, int], Tensor]


def weights_of(tensors: Tensors, *, prefix: str = "sd.") -> dict[str, Tensor]:
    """The state dict of a case, by official names."""
    return {name.removeprefix(prefix): tensors[name] for name in names_of(tensors, prefix)}


def names_of(tensors: Tensors, prefix: str) -> list[str]:
    """The tensors of a case whose names start with `prefix`."""
    return [name for name in tensors if name.startswith(prefix)]


def calls_of(rollout: Rollout, *, first: int = 0) -> dict[str, Tensor]:
    """Flow and clean estimate of every network call, numbered from `first`."""
    outputs: dict[str, Tensor] = {}
    for index, call in enumerate(rollout.calls, start=first):
        outputs |= {f"call{index}.flow": call.flow, f"call{index}.x0": call.clean}
    return outputs


def caches_of(rollout: Rollout, *, num_tokens: int) -> dict[str, Tensor]:
    """Keys and values that each layer holds in the end, zeros behind the last."""
    outputs: dict[str, Tensor] = {}
    for layer in range(rollout.num_layers):
        keys, values = rollout.cache(layer, num_tokens=num_tokens)
        outputs |= {f"cache{layer}.k": keys.float(), f"cache{layer}.v": values.float()}
    return outputs


def latents_of(rollout: Rollout) -> Tensor:
    """The latents [B, L, C, h, w] of all blocks."""
    return torch.cat([block.latents for block in rollout.blocks], dim=1)


def video_of(rollout: Rollout) -> dict[str, Tensor]:
    """The latents, and what an identity VAE makes of them."""
    latents = latents_of(rollout)
    return {"latents": latents, "video": (latents * 0.5 + 0.5).clamp(0, 1)}


def times_of(call: Mapping[str, Any], steps: Sequence[int]) -> Tensor:
    """The times of listed steps, warped where the call says so."""
    schedule = FlowMatchSchedule(shift=call["timestep_shift"])
    return torch.tensor(schedule.warped(steps) if call["warp_denoising_step"] else [float(step) for step in steps])


def tape(first: Tensor, tensors: Tensors, *, num_redraws: int, first_block: int = 0) -> Noise:
    """Recorded noise: `first` [B, L, C, h, w] at the first level, then `num_redraws` recorded draws for each block."""
    starts: list[int] = []  # of the generated blocks, in order

    def noise(world: int, latents: range, level: int) -> Tensor:
        if level == 0:
            if latents.start not in starts:
                starts.append(latents.start)
            return first[world, latents.start : latents.stop]
        block = first_block + starts.index(latents.start)
        return tensors[f"in.step_noise{block * num_redraws + level - 1}"].chunk(len(first))[world]

    return noise
