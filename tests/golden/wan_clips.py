"""Runners of the golden cases of clips, of many guided steps, and of the streaming demo's decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from inferix_core.contracts.scheduler import Solver
from inferix_wan.planners.config import FewStepClipPlannerConfig, GuidedBlocksPlannerConfig, WholeClipPlannerConfig
from inferix_wan.solvers.config import DpmPlusPlusSolverConfig, UniPCSolverConfig
from inferix_wan.solvers.dpm_plus_plus import DpmPlusPlusSolver
from inferix_wan.solvers.sampling import sampling_levels
from inferix_wan.solvers.unipc import UniPCSolver
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from torch import Tensor
from wan_outputs import Tensors, calls_of, names_of, tape, times_of, video_of, weights_of
from wan_rollout import Setup, run
from wan_solvers import SPACINGS


def run_few_step_clip(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A distilled bidirectional model. Self Forcing's loop stops before the last listed step, CausVid's does not."""
    call = case["call"]
    listed = call["denoising_step_list"]
    steps = listed[:-1] if case["name"].startswith("sf_") else listed
    rollout = run(
        Setup(
            constructor=case["constructor"].get("model", case["constructor"]),
            weights=weights_of(tensors),
            planner=FewStepClipPlannerConfig(
                steps=steps, warp=call["warp_denoising_step"], shift=call["timestep_shift"], num_latents=call["frames"]
            ),
            embeds=tensors["in.prompt_embeds"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=call["frames"],
            noise=tape(tensors["in.noise"], tensors, num_redraws=len(steps) - 1),
        )
    )
    return {**calls_of(rollout), **video_of(rollout), "denoising_step_list": times_of(call, listed)}


def run_guided(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Many steps under a prompt and a negative one: a clip, or blocks after an optional prefix."""
    call, prefix = case["call"], tensors.get("in.initial_latent")
    schedule = {
        "num_steps": call["sampling_steps"],
        "shift": call["timestep_shift"],
        "spacing": SPACINGS[call["sample_solver"]],
        "guidance_scale": call["guidance_scale"],
    }
    planner = (
        WholeClipPlannerConfig(**schedule, num_latents=call["frames"])
        if "bidir" in case["name"]
        else GuidedBlocksPlannerConfig(
            **schedule,
            num_block_latents=call["num_frame_per_block"],
            independent_first_latent=call["independent_first_frame"],
        )
    )
    rollout = run(
        Setup(
            constructor=case["constructor"],
            weights=weights_of(tensors),
            planner=planner,
            solver=_solver(call["sample_solver"]),
            embeds=tensors["in.prompt_embeds"],
            negative=tensors["in.negative_embeds"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=call["frames"],
            noise=tape(_behind(prefix, tensors["in.noise"]), tensors, num_redraws=0),
            prefix=prefix,
        )
    )
    levels = sampling_levels(planner.num_steps, shift=planner.shift, spacing=planner.spacing)
    times = torch.tensor([int(level.time) for level in levels[:-1]])
    return {**calls_of(rollout), **video_of(rollout), "sampler_timesteps": times}


def run_vae_demo(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A decoder that starts from a history of zeros, so that the first latent becomes four frames; three are cut."""
    vae = WanVAE(VaeConfig(base_dim=case["constructor"]["dim"], latent_dim=case["constructor"]["z_dim"]))
    found = vae.load_state_dict(weights_of(tensors), strict=False)
    assert not found.unexpected_keys
    assert all(name.startswith(("encoder.", "conv1.")) for name in found.missing_keys)
    vae.requires_grad_(False)
    shapes = [tensors[f"in.zero_cache_shape{slot}"].tolist() for slot in range(len(names_of(tensors, "in.zero_cache")))]
    state = tuple(torch.zeros(shape) for shape in shapes)
    outputs = {"ordinary_decode": vae.decode(tensors["in.latent"])[0]}
    for index, piece in enumerate(torch.split(tensors["in.latent"], case["call"]["chunks"], dim=1)):
        frames, state = vae.decode(piece, state)
        outputs |= {f"chunk{index}.raw": frames, f"chunk{index}": frames[:, 3:] if index == 0 else frames}
    return outputs


def _solver(name: str) -> Solver:
    return UniPCSolver(UniPCSolverConfig()) if name == "unipc" else DpmPlusPlusSolver(DpmPlusPlusSolverConfig())


def _behind(prefix: Tensor | None, noise: Tensor) -> Tensor:
    """Noise for the latents behind a prefix, at their absolute places."""
    return noise if prefix is None else torch.cat([torch.zeros_like(prefix), noise], dim=1)
