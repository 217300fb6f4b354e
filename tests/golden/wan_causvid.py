"""Runners of the golden cases of CausVid: blocks, a rollout, and a world of rollouts that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from inferix_core.runtime.frames import to_uint8
from inferix_wan.planners.config import CausVidOverlapPlannerConfig, CausVidPlannerConfig
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from torch import Tensor
from wan_outputs import Tensors, caches_of, calls_of, tape, times_of, video_of, weights_of
from wan_rollout import BlockEnd, Setup, run


def run_causvid_rollout(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Blocks through the causal transformer with its cache: every call, the caches, the tokens that each call wrote."""
    call = case["call"]
    num_block_calls = len(call["timesteps"]) + 1
    first = torch.cat([tensors[f"in.call{block * num_block_calls}.x"] for block in range(call["blocks"])], dim=1)
    rollout = run(
        Setup(
            constructor=case["constructor"],
            weights=weights_of(tensors),
            planner=_planner(call, size=call["frames_per_block"], steps=call["timesteps"]),
            embeds=tensors["in.context"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=first.shape[1],
            noise=tape(first, tensors, num_redraws=num_block_calls - 2),
        )
    )
    outputs = calls_of(rollout) | caches_of(rollout, num_tokens=call["kv_cache_tokens"])
    for layer in range(rollout.num_layers):
        keys, values = rollout.text_cache(layer)
        outputs |= {f"xcache{layer}.k": keys, f"xcache{layer}.v": values}
    rows = [
        [block, step, *(latent * call["tokens_per_frame"] for latent in (end.span.start, end.span.stop))]
        for block, end in enumerate(rollout.blocks)
        for step in range(end.num_calls)
    ]
    return {**outputs, "indices": torch.tensor(rows)}


def run_causvid_pipeline(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """One rollout, after start latents where there are some."""
    call, prefix = case["call"], tensors.get("in.start_latents")
    steps = _without_the_end(call)
    rollout = run(
        Setup(
            constructor=case["constructor"]["model"],
            weights=weights_of(tensors),
            planner=_planner(call, size=call["num_frame_per_block"], steps=steps),
            embeds=tensors["in.prompt_embeds"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=call["frames"] - call["start_latent_frames"],
            noise=tape(tensors["in.noise"], tensors, num_redraws=len(steps) - 1),
            prefix=prefix,
        )
    )
    return {
        **calls_of(rollout),
        **caches_of(rollout, num_tokens=call["frames"] * call["tokens_per_frame"]),
        **video_of(rollout),
        "denoising_step_list": times_of(call, steps),
    }


def run_causvid_long(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """One world, whose rollouts overlap as the original's do."""
    call = case["call"]
    steps, size, num_rollouts = _without_the_end(call), call["num_frame_per_block"], call["num_rollout"]
    assert call["num_overlap_frames"] == size, "the planner keeps one block"
    first = [tensors[f"in.rollout{index}.noise"] for index in range(num_rollouts)]
    noise = torch.cat([first[0], *(one[:, size:] for one in first[1:])], dim=1)
    num_blocks = call["frames"] // size
    rollout = run(
        Setup(
            constructor=case["constructor"]["model"],
            weights=weights_of(tensors, prefix="sd.model."),
            planner=CausVidOverlapPlannerConfig(
                num_block_latents=size,
                steps=tuple(steps),
                shift=call["timestep_shift"],
                num_rollout_blocks=num_blocks,
            ),
            embeds=tensors["in.prompt_embeds"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=noise.shape[1],
            noise=tape(noise, tensors, num_redraws=len(steps) - 1),
            vae=_vae(case["constructor"]["vae"], tensors),
        )
    )
    outputs: dict[str, Tensor] = {"denoising_step_list": times_of(call, steps), **calls_of(rollout)}
    seen = torch.cat(rollout.decoder.seen).split(call["frames"])
    for index, (latents, (frame, anchor)) in enumerate(zip(seen, rollout.decoder.encoded, strict=True)):
        outputs |= {
            f"rollout{index}.latents": latents.unsqueeze(0),
            f"rollout{index}.overlap_pixel": frame.unsqueeze(0),
            f"rollout{index}.start_frame": anchor.unsqueeze(0),
            f"rollout{index}.next_start_latents": torch.cat([anchor, latents[1 - size :]]).unsqueeze(0),
        }
    video = torch.cat([_shown(*each) for each in zip(rollout.blocks, rollout.decoder.made, strict=True)]) * 0.5 + 0.5
    return {
        **outputs,
        "final_video_subsampled": video[:, :, ::2, ::2],
        "final_video_mean_per_frame": video.mean(dim=(1, 2, 3)),
        "final_video_frames": torch.tensor([len(video)]),
    }


def _shown(block: BlockEnd, frames: Tensor) -> Tensor:
    """The decoded frames that the viewer gets of a block, before they are rounded to bytes."""
    shown = frames[: block.shown.shape[1]]
    assert torch.equal(to_uint8(shown), block.shown[0]), "the viewer gets other frames than the first of a block"
    return shown


def _planner(call: Mapping[str, Any], *, size: int, steps: Sequence[int]) -> CausVidPlannerConfig:
    return CausVidPlannerConfig(
        num_block_latents=size,
        steps=tuple(steps),
        warp=call.get("warp_denoising_step", False),
        shift=call["timestep_shift"],
    )


def _without_the_end(call: Mapping[str, Any]) -> list[int]:
    *steps, end = call["denoising_step_list"]
    assert end == 0
    return steps


def _vae(constructor: Mapping[str, Any], tensors: Tensors) -> WanVAE:
    vae = WanVAE(
        VaeConfig(
            base_dim=constructor["dim"],
            latent_dim=constructor["z_dim"],
            dim_mult=tuple(constructor["dim_mult"]),
            num_res_blocks=constructor["num_res_blocks"],
            temporal_downsample=tuple(constructor["temperal_downsample"]),
        )
    )
    vae.load_state_dict(weights_of(tensors, prefix="sd.vae."), strict=True)
    return vae.requires_grad_(False)
