"""The two VAE stages: encoder and decoder together, then, on frozen latents, the decoder alone.

Letters: B clips, T frames, H height, W width, L latents, Z latent channels.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from inferix_wan.vae.config import VaeConfig
from inferix_wan.vae.model import State, WanVAE
from safetensors.torch import load_file, save_file
from torch import Tensor

from inferix_tinyworld.train.clips import sample_clips
from inferix_tinyworld.train.run import MixedPrecision, Workers, pick_device, train_loop
from inferix_tinyworld.train.settings import VaeSettings, parse_settings
from inferix_tinyworld.train.vae_batches import Batch, batches, to_model
from inferix_tinyworld.train.vae_quality import reconstruction_report

WEIGHTS = "vae.safetensors"
CONFIG = "vae.json"


def train_autoencoder(arguments: list[str]) -> None:
    """Stage `vae`: trains everything, then measures the latents and writes the weights and their config."""
    settings = parse_settings(VaeSettings, arguments, prog="train vae")
    _prepare(settings, name="vae")
    config = VaeConfig(
        base_dim=settings.base_dim,
        num_res_blocks=settings.num_res_blocks,
        latent_dim=settings.latent_dim,
        latent_mean=(0.0,) * settings.latent_dim,
        latent_std=(1.0,) * settings.latent_dim,
    )
    torch.manual_seed(settings.seed)
    vae = WanVAE(config)
    initialize(vae)
    vae.to(pick_device(settings.device)).use_channels_last()
    training = MixedPrecision(vae, settings=settings)
    train_loop(
        settings,
        name="vae",
        training=training,
        compute=_side_by_side(vae, settings, autoencoder_gradients),
        evaluate=partial(_evaluate, settings, config, training),
    )
    weights = training.averaged_weights()
    final = _inference_copy(config, weights, settings)
    mean, std = latent_statistics(final, settings)
    write_vae(settings.work_dir, dataclasses.replace(config, latent_mean=mean, latent_std=std), weights)


def train_decoder(arguments: list[str]) -> None:
    """Stage `vae-decoder`: goes on with the decoder of a finished `vae` stage; latents keep their meaning."""
    settings = parse_settings(VaeSettings, arguments, prog="train vae-decoder")
    _prepare(settings, name="vae-decoder")
    config, weights = read_vae(settings.work_dir)
    vae = WanVAE(config)
    vae.load_state_dict(weights)
    vae.to(pick_device(settings.device)).use_channels_last()
    for name, parameter in vae.named_parameters():
        parameter.requires_grad_(name.startswith(("decoder.", "conv2.")))
    training = MixedPrecision(vae, settings=settings)

    def evaluate(step: int) -> str:
        write_vae(settings.work_dir, config, {**weights, **training.averaged_weights()})
        return _evaluate(settings, config, training, step, frozen=weights)

    train_loop(
        settings,
        name="vae-decoder",
        training=training,
        compute=_side_by_side(vae, settings, decoder_gradients),
        evaluate=evaluate,
    )


def initialize(vae: WanVAE) -> None:
    """Variance-preserving weights, no biases, and residual branches that start small."""
    for name, parameter in vae.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
        elif name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            if name.endswith(("residual.6.weight", "proj.weight")):
                parameter.data.mul_(0.1)


def autoencoder_gradients(vae: WanVAE, settings: VaeSettings, step: int, worker: int) -> dict[str, float]:
    """Gradients of one step for encoder and decoder; returns the parts of the loss."""
    # Noise from the start would drown the latents before the encoder has learnt to use them.
    ramp = min(1.0, step / settings.num_latent_ramp_steps)
    totals: dict[str, float] = {}
    for batch in batches(vae, settings, step, worker):
        encoder_state: State | None = None
        decoder_state: State | None = None
        if batch.num_seen:
            with torch.no_grad():
                latents, encoder_state = vae.encode(batch.frames[:, : batch.num_seen])
                _, decoder_state = vae.decode_unclamped(latents, None)
        latents, _ = vae.encode(batch.frames[:, batch.num_seen :], encoder_state)
        noisy = latents + ramp * settings.latent_noise * batch.noise_like(latents)
        decoded, _ = vae.decode_unclamped(noisy, decoder_state)
        loss, figures = reconstruction_loss(decoded, batch, settings)
        size = latents.float().square().mean()
        (batch.share * (loss + ramp * settings.latent_penalty * size)).backward()  # type: ignore[no-untyped-call]
        for key, value in {**figures, "latent": float(size.detach())}.items():
            totals[key] = totals.get(key, 0.0) + batch.share * value
    return totals


def decoder_gradients(vae: WanVAE, settings: VaeSettings, step: int, worker: int) -> dict[str, float]:
    """Gradients of one step for the decoder alone; returns the parts of the loss."""
    totals: dict[str, float] = {}
    for batch in batches(vae, settings, step + settings.num_steps, worker):
        decoder_state: State | None = None
        num_seen_latents = 0
        with torch.no_grad():
            latents, _ = vae.encode(batch.frames)
            latents = latents + settings.latent_noise * batch.noise_like(latents)
            if batch.num_seen:
                num_seen_latents = 1 + (batch.num_seen - 1) // vae.config.temporal_stride
                _, decoder_state = vae.decode_unclamped(latents[:, :num_seen_latents], None)
        decoded, _ = vae.decode_unclamped(latents[:, num_seen_latents:], decoder_state)
        loss, figures = reconstruction_loss(decoded, batch, settings)
        (batch.share * loss).backward()  # type: ignore[no-untyped-call]
        for key, value in figures.items():
            totals[key] = totals.get(key, 0.0) + batch.share * value
    return totals


def reconstruction_loss(decoded: Tensor, batch: Batch, settings: VaeSettings) -> tuple[Tensor, dict[str, float]]:
    """Weighted error of pixels and of the differences of neighbours, and figures for the log.

    `decoded` [B, T, 3, H, W] are the batch's frames after those that are only seen.
    """
    near = batch.near[:, batch.num_seen :]
    error = decoded.float() - batch.frames[:, batch.num_seen :].float()
    weight = 1 + settings.object_weight * near
    across = (error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    total = weight.sum() * error.shape[2]
    pixel = ((error.abs() + 2 * error.square()) * weight).sum() / total
    edge = (across.sum() + down.sum()) / total
    with torch.no_grad():
        object_error = (error.square() * near).sum() / (near.sum() * error.shape[2]).clamp_min(1)
        psnr = float(10 * torch.log10(4 / object_error.clamp_min(1e-6))) if near.any() else 30.0
    return pixel + settings.edge_weight * edge, {
        "pixel": float(pixel.detach()),
        "edge": float(edge.detach()),
        "object_psnr": psnr,
    }


@torch.inference_mode()
def latent_statistics(vae: WanVAE, settings: VaeSettings) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each latent channel over full-size clips, most short, some long."""
    rng = np.random.default_rng([settings.seed, 7])
    total = torch.zeros(2, vae.config.latent_dim, dtype=torch.float64)
    count = 0
    for index in range(settings.num_statistics_clips):
        clips = sample_clips(rng, num_clips=1, num_blocks=12 if index % 20 == 0 else 2, size=128)
        latents = vae.encode(to_model(clips, vae)[0])[0].double().cpu()
        total += torch.stack([latents.sum((0, 1, 3, 4)), latents.square().sum((0, 1, 3, 4))])
        count += latents.numel() // vae.config.latent_dim
    mean = total[0] / count
    std = (total[1] / count - mean**2).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


def write_vae(folder: Path, config: VaeConfig, weights: dict[str, Tensor]) -> None:
    """Writes bf16-safe fp32 weights and the config; each under a temporary name first."""
    temporary = folder / "vae.tmp"
    save_file({name: value.float().cpu().contiguous() for name, value in weights.items()}, temporary)
    (folder / CONFIG).write_text(json.dumps(dataclasses.asdict(config), indent=1))
    temporary.replace(folder / WEIGHTS)


def read_vae(folder: Path) -> tuple[VaeConfig, dict[str, Tensor]]:
    """What `write_vae` wrote."""
    fields = json.loads((folder / CONFIG).read_text())
    tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return VaeConfig(**tuples), load_file(folder / WEIGHTS)


def _side_by_side(
    vae: WanVAE, settings: VaeSettings, gradients: Callable[[WanVAE, VaeSettings, int, int], dict[str, float]]
) -> Callable[[int], dict[str, float]]:
    workers = Workers(vae, num_workers=settings.num_workers)

    def compute(step: int) -> dict[str, float]:
        return workers.run(lambda module, worker: gradients(cast("WanVAE", module), settings, step, worker))

    return compute


def _prepare(settings: VaeSettings, *, name: str) -> None:
    torch.set_num_threads(settings.num_threads)
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    (settings.work_dir / f"{name}.settings.json").write_text(settings.model_dump_json(indent=1))


def _inference_copy(config: VaeConfig, weights: dict[str, Tensor], settings: VaeSettings) -> WanVAE:
    vae = WanVAE(config)
    vae.load_state_dict(weights)
    return vae.to(pick_device(settings.device), torch.bfloat16).use_channels_last().eval()


def _evaluate(
    settings: VaeSettings,
    config: VaeConfig,
    training: MixedPrecision,
    step: int,
    frozen: dict[str, Tensor] | None = None,
) -> str:
    vae = _inference_copy(config, {**(frozen or {}), **training.averaged_weights()}, settings)
    return reconstruction_report(vae, sheet=settings.work_dir / f"sheet-{step:06d}.png")
