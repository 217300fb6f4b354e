"""A growing pool of encoded worlds: processes fill a folder with shards, the trainer takes up what is there.

Letters: N worlds, K blocks, C channels, h, w latent height and width.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inferix_tinyworld.decoder import load_vae
from inferix_tinyworld.scene import LATENTS_PER_BLOCK
from inferix_tinyworld.train.world_clips import simulate

WORLDS_PER_SHARD = 8
NUM_HELD_OUT_SHARDS = 2
"""The first shards are never trained on."""


@dataclass(frozen=True)
class Shard:
    """Some encoded worlds."""

    latents: Tensor
    """float16 [N, K, 3, C, h, w]"""
    words: Tensor
    """[N, K, 4]"""
    actions: Tensor
    """[N, K]"""
    near: Tensor
    """bool [N, K, 3, h, w]"""


class LatentPool:
    """The shards of a folder that have been written so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: dict[str, Shard] = {}

    def wait_for(self, num_shards: int) -> None:
        """Blocks until there are that many shards."""
        while len(self.refresh()) < num_shards:
            time.sleep(1.0)

    def refresh(self) -> Sequence[Shard]:
        """Loads what is new; all shards in the order of their names."""
        for path in sorted(self._folder.glob("shard-*.safetensors")):
            if path.name not in self._shards:
                self._shards[path.name] = Shard(**load_file(path))
        return [self._shards[name] for name in sorted(self._shards)]

    @property
    def held_out(self) -> Sequence[Shard]:
        """The shards kept for evaluation."""
        return [self._shards[name] for name in sorted(self._shards)[:NUM_HELD_OUT_SHARDS]]

    @property
    def training(self) -> Sequence[Shard]:
        """The other shards."""
        return [self._shards[name] for name in sorted(self._shards)[NUM_HELD_OUT_SHARDS:]]


def start_filling(folder: Path, *, vae: Path, seed: int, num_clips: int, num_blocks: int, num_processes: int) -> None:
    """Starts processes that write the shards still missing, and end with the program that started them."""
    folder.mkdir(parents=True, exist_ok=True)
    num_shards = -(-num_clips // WORLDS_PER_SHARD)
    for part in range(num_processes):
        process = get_context("spawn").Process(
            target=fill,
            args=(folder, vae, seed, range(part, num_shards, num_processes), num_blocks),
            daemon=True,
        )
        process.start()


def fill(folder: Path, vae_path: Path, seed: int, shards: Sequence[int], num_blocks: int) -> None:
    """Writes those of the shards that are missing; the same seed and VAE give the same shards."""
    torch.set_num_threads(1)
    vae = load_vae(vae_path, device=torch.device("cpu"), dtype=torch.bfloat16)
    for index in shards:
        path = folder / f"shard-{index:05d}.safetensors"
        if path.exists():
            continue
        clips = simulate(np.random.default_rng([seed, 11, index]), num_worlds=WORLDS_PER_SHARD, num_blocks=num_blocks)
        latents = []
        with torch.inference_mode():
            for frames in clips.frames:
                pixels = torch.from_numpy(frames)[None].movedim(-1, 2).to(torch.bfloat16).div(127.5).sub(1)
                latents.append(vae.encode(pixels)[0][0].half())
        temporary = path.with_suffix(".tmp")
        save_file(
            {
                "latents": _by_block(torch.stack(latents)),
                "words": torch.from_numpy(clips.words),
                "actions": torch.from_numpy(clips.actions),
                "near": _by_block(torch.from_numpy(clips.near)),
            },
            temporary,
        )
        temporary.replace(path)


def _by_block(x: Tensor) -> Tensor:
    """[N, L, ...] -> [N, K, 3, ...]."""
    return x.reshape(x.shape[0], -1, LATENTS_PER_BLOCK, *x.shape[2:]).contiguous()
