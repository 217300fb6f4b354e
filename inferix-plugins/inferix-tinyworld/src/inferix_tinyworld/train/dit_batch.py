"""One training step's blocks as rows: clean contexts first, then noisy targets, then noisy first blocks.

Letters: R rows (one block of 3 latents each), C channels, h, w latent height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from inferix_wan.solvers.schedule import FlowMatchSchedule
from torch import Tensor

from inferix_tinyworld.scene import LATENTS_PER_BLOCK
from inferix_tinyworld.train.block_context import RowGroup
from inferix_tinyworld.train.dit_settings import DitSettings
from inferix_tinyworld.train.latent_pool import Shard

SAMPLER_STEPS = (1000, 750, 500, 250)
"""The planner's default steps, before the shift."""


@dataclass(frozen=True)
class Batch:
    """The rows of a step. The first `num_clean` are contexts at time 0, the rest are predicted."""

    latents: Tensor
    """[R, 3, C, h, w] float32: contexts with a little noise, then targets at their levels."""
    sigmas: Tensor
    """Share of noise [R]; 0 for contexts."""
    positions: list[list[int]]
    words: Tensor
    """[R, 4]"""
    actions: Tensor
    """[R]"""
    groups: list[RowGroup]
    num_clean: int
    num_first: int
    clean: Tensor
    """What the noisy rows are made of: [R - num_clean, 3, C, h, w]."""
    noise: Tensor
    near: Tensor
    """[R - num_clean, 3, 1, h, w] as 0 or 1."""

    @property
    def times(self) -> list[list[float]]:
        """The network time of each row."""
        return [[sigma * 1000] for sigma in self.sigmas.tolist()]


def sampler_sigmas(shift: float) -> tuple[float, ...]:
    """The shares of noise at which the sampler asks the network."""
    schedule = FlowMatchSchedule(shift=shift)
    return tuple(schedule.sigma(time) for time in schedule.warped(SAMPLER_STEPS))


def draw_batch(shards: Sequence[Shard], settings: DitSettings, *, step: int) -> Batch:
    """The batch of a step, drawn from (seed, step)."""
    rng = np.random.default_rng([settings.seed, 3, step])
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    clip_rows, depth = settings.num_clip_blocks, settings.num_context_blocks
    contexts: list[tuple[Shard, int, int, int]] = []  # shard, world, block, shift of positions in blocks
    targets: list[tuple[Shard, int, int, int]] = []
    target_contexts: list[list[int]] = []
    for clip in range(settings.num_clips):
        shard = shards[int(rng.integers(len(shards)))]
        num_worlds, num_blocks = shard.latents.shape[:2]
        world, start = int(rng.integers(num_worlds)), int(rng.integers(num_blocks - clip_rows))
        offset = int(rng.integers(settings.position_range))
        contexts += [(shard, world, start + index, offset) for index in range(clip_rows)]
        for index in range(depth - 1, clip_rows):
            first = clip * clip_rows + index - depth + 1
            for _ in range(settings.num_targets):
                targets.append((shard, world, start + index + 1, offset))
                target_contexts.append(list(range(first, first + depth)))
    firsts = []
    for _ in range(settings.num_first_blocks):
        shard = shards[int(rng.integers(len(shards)))]
        firsts.append((shard, int(rng.integers(shard.latents.shape[0])), 0, 0))
    return _batch(contexts, targets, target_contexts, firsts, settings, rng=rng, generator=generator)


def _batch(
    contexts: list[tuple[Shard, int, int, int]],
    targets: list[tuple[Shard, int, int, int]],
    target_contexts: list[list[int]],
    firsts: list[tuple[Shard, int, int, int]],
    settings: DitSettings,
    *,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Batch:
    depth, clip_rows = settings.num_context_blocks, settings.num_clip_blocks
    # Contexts that see equally many blocks stand together.
    order = sorted(range(len(contexts)), key=lambda row: min(row % clip_rows, depth))
    place = {row: index for index, row in enumerate(order)}
    rows = [contexts[row] for row in order] + targets + firsts
    groups = []
    for num_seen in range(min(depth, clip_rows - 1) + 1):
        members = [row for row in order if min(row % clip_rows, depth) == num_seen]
        first = place[members[0]]
        seen = torch.tensor([[place[row - back] for back in range(num_seen, 0, -1)] for row in members])
        groups.append(RowGroup(slice(first, first + len(members)), seen if num_seen else None))
    num_clean, num_targets = len(contexts), len(targets)
    seen = torch.tensor([[place[row] for row in past] for past in target_contexts])
    groups.append(RowGroup(slice(num_clean, num_clean + num_targets), seen))
    if firsts:
        groups.append(RowGroup(slice(num_clean + num_targets, len(rows))))

    blocks = torch.stack([shard.latents[world, block] for shard, world, block, _ in rows]).float()
    strength = settings.context_noise * torch.rand(num_clean, generator=generator)
    strength = strength * (torch.rand(num_clean, generator=generator) < 0.75)
    context = blocks[:num_clean]
    context = context + strength.view(-1, 1, 1, 1, 1) * torch.randn(context.shape, generator=generator)
    clean = blocks[num_clean:]
    sigmas = torch.cat([_levels(count, settings, rng) for count in (num_targets, len(firsts))])
    noise = torch.randn(clean.shape, generator=generator)
    share = sigmas.view(-1, 1, 1, 1, 1)
    return Batch(
        latents=torch.cat([context, (1 - share) * clean + share * noise]),
        sigmas=torch.cat([torch.zeros(num_clean), sigmas]),
        positions=[
            list(range(LATENTS_PER_BLOCK * (block + offset), LATENTS_PER_BLOCK * (block + offset + 1)))
            for _, _, block, offset in rows
        ],
        words=torch.stack([shard.words[world, block] for shard, world, block, _ in rows]),
        actions=torch.stack([shard.actions[world, block] for shard, world, block, _ in rows]),
        groups=groups,
        num_clean=num_clean,
        num_first=len(firsts),
        clean=clean,
        noise=noise,
        near=torch.stack([shard.near[world, block] for shard, world, block, _ in rows[num_clean:]])
        .unsqueeze(2)
        .float(),
    )


def _levels(count: int, settings: DitSettings, rng: np.random.Generator) -> Tensor:
    """Shares of noise [count]: the sampler's levels in equal parts, some replaced by any level of the schedule."""
    exact = np.array(sampler_sigmas(settings.shift))[rng.permutation(count) % len(SAMPLER_STEPS)]
    uniform = rng.random(count)
    spread = settings.shift * uniform / (1 + (settings.shift - 1) * uniform)
    return torch.from_numpy(np.where(rng.random(count) < settings.exact_share, exact, spread)).float()
