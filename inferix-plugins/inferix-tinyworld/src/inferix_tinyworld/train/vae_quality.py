"""How well a VAE shows the world: object PSNR along a long stream and a contact sheet of truth and reconstruction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from inferix_wan.vae.model import State, WanVAE
from numpy.typing import NDArray
from PIL import Image

from inferix_tinyworld.train.clips import sample_clips

FRAMES_OF_INTEREST = (0, 1, 10, 45, 100, 200, 500)


@torch.inference_mode()
def stream(vae: WanVAE, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[T, H, W, 3] through encoder and decoder, one block after the other."""
    encoder_state: State | None = None
    decoder_state: State | None = None
    parts = []
    first, last = 0, 9
    while first < len(frames):
        chunk = torch.from_numpy(frames[first:last].copy()).float().div(127.5).sub(1).movedim(-1, 1)[None]
        latents, encoder_state = vae.encode(chunk.to(vae.dtype), encoder_state)
        decoded, decoder_state = vae.decode(latents, decoder_state)
        parts.append(((decoded[0].float() + 1) * 127.5).round().to(torch.uint8).movedim(1, -1).numpy())
        first, last = last, last + 12
    return np.concatenate(parts)


def object_psnr(truth: NDArray[np.uint8], shown: NDArray[np.uint8], near: NDArray[np.bool_]) -> NDArray[np.float64]:
    """PSNR of the pixels near the object in each frame [T] (full range 255)."""
    square = ((truth.astype(np.float64) - shown) ** 2).mean(-1)
    mean = (square * near).sum((1, 2)) / np.maximum(near.sum((1, 2)), 1)
    return np.asarray(10 * np.log10(255**2 / np.maximum(mean, 1e-3)))


def reconstruction_report(vae: WanVAE, *, sheet: Path, num_worlds: int = 6, num_blocks: int = 9, seed: int = 99) -> str:
    """Object PSNR at some frames, averaged over held-out worlds; the pictures go to `sheet`."""
    values, rows = [], []
    for world in range(num_worlds):
        clips = sample_clips(np.random.default_rng([seed, world]), num_clips=1, num_blocks=num_blocks, size=128)
        truth = clips.frames[0]
        shown = stream(vae, truth)
        values.append(object_psnr(truth, shown, clips.near[0]))
        picks = np.linspace(0, len(truth) - 1, 10).astype(int)
        rows += [np.concatenate(list(truth[picks]), axis=1), np.concatenate(list(shown[picks]), axis=1)]
    Image.fromarray(np.concatenate(rows)).save(sheet)
    mean = np.mean(values, axis=0)
    at = " ".join(f"{i}:{mean[max(0, i - 2) : i + 3].mean():.1f}" for i in FRAMES_OF_INTEREST if i < len(mean))
    return f"object PSNR by frame {at} worst {np.min(values):.1f} mean {mean.mean():.2f}"
