"""Runners for the golden cases of the Wan family: `CASES` is a list of (pattern, runner).

A runner takes the index entry and the case's tensors and returns its outputs, named without the `out.` prefix.
Dims, shapes and schedules come from the entry and the inputs; expected outputs are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from inferix_wan.config import SelfForcingPlannerConfig
from inferix_wan.solvers.flow import add_noise, clean_from_flow, euler_step, flow_from_clean
from inferix_wan.solvers.schedule import DEFAULT_SIGMA_MIN, NUM_TRAIN_TIMES, FlowMatchSchedule
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.layers import CausalConv3d
from inferix_wan.vae.model import WanVAE
from outcome import Unsupported
from torch import Tensor
from wan_causvid import run_causvid_long, run_causvid_pipeline, run_causvid_rollout
from wan_clips import run_few_step_clip, run_guided, run_vae_demo
from wan_encoders import run_clip, run_text_encoder, run_umt5
from wan_forwards import run_block_masks, run_transformer
from wan_outputs import caches_of, calls_of, weights_of
from wan_rollout import Rollout, Setup, run
from wan_solvers import run_solvers

Tensors = Mapping[str, Tensor]


def run_causal_rollout(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Blocks through the causal transformer with its cache: every call, the caches, the buffer's bookkeeping."""
    call = case["call"]
    in_bfloat16 = str(case["dtype"]).startswith("bfloat16")
    steps: tuple[int, ...] = tuple(call["denoising_steps"])
    num_block_calls = len(steps) + 1
    size = int(call["frames_per_block"])
    inputs = [tensors[f"in.call{index}.x"] for index in range(call["blocks"] * num_block_calls)]

    def noise(world: int, latents: range, level: int) -> Tensor:
        block = latents.start // size
        if level == 0:
            return inputs[block * num_block_calls][world]
        recorded = tensors[f"in.step_noise{block * (len(steps) - 1) + level - 1}"]
        return recorded.chunk(len(tensors["in.context"]))[world]

    rollout = run(
        Setup(
            constructor=case["constructor"],
            weights=weights_of(tensors),
            planner=SelfForcingPlannerConfig(
                num_block_latents=size, steps=steps, warp="warped_timesteps" in call, shift=call["timestep_shift"]
            ),
            embeds=tensors["in.context"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=call["blocks"] * size,
            noise=noise,
            dtype=torch.bfloat16 if in_bfloat16 else torch.float32,
            recorded_inputs=inputs if in_bfloat16 else None,
        )
    )
    outputs = calls_of(rollout) | caches_of(rollout, num_tokens=call["kv_cache_tokens"])
    for layer in range(rollout.num_layers):
        keys, values = rollout.text_cache(layer)
        outputs |= {f"xcache{layer}.k": keys.float(), f"xcache{layer}.v": values.float()}
    outputs["indices"] = _buffer_indices(rollout, tokens_per_latent=call["tokens_per_frame"])
    return outputs


def run_pipeline(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A whole generation: blocks after an optional prefix, with recorded noise."""
    call = case["call"]
    steps = call["denoising_step_list"]
    first = tensors["in.noise"]
    prefix = tensors.get("in.initial_latent")
    num_prefix_latents = 0 if prefix is None else prefix.shape[1]
    starts: list[int] = []  # of the generated blocks, in order

    def noise(world: int, latents: range, level: int) -> Tensor:
        if level == 0:
            if latents.start not in starts:
                starts.append(latents.start)
            start = latents.start - num_prefix_latents
            return first[world, start : start + len(latents)]
        recorded = tensors[f"in.step_noise{starts.index(latents.start) * (len(steps) - 1) + level - 1}"]
        return recorded.chunk(len(first))[world]

    planner = SelfForcingPlannerConfig(
        num_block_latents=call["num_frame_per_block"],
        steps=steps,
        warp=call["warp_denoising_step"],
        shift=call["timestep_shift"],
        clean_time=call["context_noise"],
        independent_first_latent=call["independent_first_frame"],
    )
    rollout = run(
        Setup(
            constructor=case["constructor"],
            weights=weights_of(tensors),
            planner=planner,
            embeds=tensors["in.prompt_embeds"],
            latent_size=tuple(call["latent_HxW"]),
            num_latents=first.shape[1],
            noise=noise,
            prefix=prefix,
        )
    )
    latents = torch.cat([block.latents for block in rollout.blocks], dim=1)
    schedule = FlowMatchSchedule(shift=planner.shift)
    times = schedule.warped(planner.steps) if planner.warp else [float(step) for step in planner.steps]
    return {
        **calls_of(rollout),
        **caches_of(rollout, num_tokens=call["kv_cache_tokens"]),
        "latents": latents,
        "video": latents.clamp(-1, 1) * 0.5 + 0.5,
        "denoising_step_list": torch.tensor(times),
    }


def run_schedule(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Tables, look-ups and arithmetic of the flow-match schedule, for every configuration of the case."""
    outputs: dict[str, Tensor] = {}
    for name, given in case["constructor"].items():
        inputs = {key: tensors[f"in.{name}.{key}"] for key in ("x", "noise", "t_grid", "t_off")}
        wanted = {key.removeprefix(f"out.{name}.") for key in tensors if key.startswith(f"out.{name}.")}
        made = _schedule_outputs(given, inputs, warps=[key for key in wanted if key.startswith("warp_")])
        outputs |= {f"{name}.{key}": value for key, value in made.items()}
    return outputs


def run_vae(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Whole clips through the encoder and the decoder."""
    vae = _vae(case["constructor"], tensors)
    outputs = {}
    for name, value in tensors.items():
        part = name.removeprefix("in.").partition(".")[0]
        if name.startswith("in.enc"):
            outputs[f"{part}.latent"] = vae.encode(value.transpose(1, 2))[0].transpose(1, 2)
        elif name.startswith("in.dec"):
            outputs[f"{part}.video"] = vae.decode_unclamped(value.transpose(1, 2))[0].transpose(1, 2)
    return outputs


def run_vae_stream(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """A clip decoded in pieces, with the decoder's memory after the last."""
    vae = _vae(case["constructor"], tensors)
    latents = tensors["in.latent"]
    outputs = {
        "full": vae.decode(latents)[0],
        "encoded": vae.encode(tensors["in.pixel"].transpose(1, 2))[0],
    }
    state = None
    for index, piece in enumerate(torch.split(latents, case["call"]["chunks_latent_frames"], dim=1)):
        outputs[f"chunk{index}"], state = vae.decode(piece, state)
    assert state is not None
    outputs |= {f"cache{slot}": remembered for slot, remembered in enumerate(state)}
    num_allocated = sum(isinstance(module, CausalConv3d) for module in vae.decoder.modules())
    outputs["n_cache_slots"] = torch.tensor([len(state), num_allocated])
    return outputs


Runner = Callable[[Mapping[str, Any], Tensors], dict[str, Tensor]]
CASES: list[tuple[str, Runner]] = [
    ("wan21_t2v_*", run_transformer),
    ("wan21_i2v_*", run_transformer),
    ("wan21_eps_dit", run_transformer),
    ("sf_causal_block_masks", run_block_masks),
    ("sf_pipe_cfg_*", run_guided),
    ("sf_pipe_bidir_cfg_*", run_guided),
    ("sf_pipe_bidir_fewstep", run_few_step_clip),
    ("causvid_pipe_bidir", run_few_step_clip),
    ("causvid_pipe_long", run_causvid_long),
    ("causvid_pipe*", run_causvid_pipeline),
    ("causvid_rollout*", run_causvid_rollout),
    ("sf_vae_demo_stream", run_vae_demo),
    ("sf_causal_rollout_*", run_causal_rollout),
    ("sf_flowmatch_scheduler*", run_schedule),
    ("sf_pipe_t2v*", run_pipeline),
    ("sf_pipe_window*", run_pipeline),
    ("sf_pipe_extend*", run_pipeline),
    ("sf_pipe_i2v*", run_pipeline),
    ("sf_pipe_first_frame*", run_pipeline),
    ("sf_vae_stream*", run_vae_stream),
    ("wan21_solvers*", run_solvers),
    ("wan21_vae_*", run_vae),
    ("sf_text_encoder", run_text_encoder),
    ("wan21_umt5_*", run_umt5),
    ("wan21_clip_*", run_clip),
]


def _buffer_indices(rollout: Rollout, *, tokens_per_latent: int) -> Tensor:
    """Rows (block, step, first token, end of all tokens, end of the buffer) after each call.

    A block's room is made when it begins, so that all its calls leave the same numbers.
    """
    rows = []
    for index, block in enumerate(rollout.blocks):
        numbers = [number * tokens_per_latent for number in (block.span.start, block.span.stop, block.num_held)]
        rows += [[index, step, *numbers] for step in range(block.num_calls)]
    return torch.tensor(rows)


def _schedule_outputs(given: Mapping[str, Any], inputs: Mapping[str, Tensor], *, warps: list[str]) -> dict[str, Tensor]:
    schedule = FlowMatchSchedule(
        shift=given["shift"],
        num_levels=given["set_timesteps"],
        sigma_min=given.get("sigma_min", DEFAULT_SIGMA_MIN),
        drop_last=given.get("extra_one_step", False),
        invert_times=given.get("inverse_timesteps", False),
        reverse_sigmas=given.get("reverse_sigmas", False),
    )
    x, noise = inputs["x"], inputs["noise"]
    grid, off = inputs["t_grid"].tolist(), inputs["t_off"].tolist()

    def each(times: list[float], function: Callable[..., Tensor]) -> Tensor:
        return torch.stack([function(a, b, time) for a, b, time in zip(x, noise, times, strict=True)])

    def noised(clean: Tensor, fresh: Tensor, time: float) -> Tensor:
        return add_noise(clean, fresh, sigma=schedule.sigma(time))

    def stepped(latents: Tensor, flow: Tensor, time: float, *, to_final: bool = False) -> Tensor:
        next_sigma = schedule.next_sigma(time, to_final=to_final)
        return euler_step(latents, flow, sigma=schedule.sigma(time), next_sigma=next_sigma)

    def stepped_to_end(latents: Tensor, flow: Tensor, time: float) -> Tensor:
        return stepped(latents, flow, time, to_final=True)

    def cleaned(latents: Tensor, flow: Tensor, time: float) -> Tensor:
        return clean_from_flow(latents, flow, sigma=schedule.sigma(time))

    def flowed(latents: Tensor, clean: Tensor, time: float) -> Tensor:
        return flow_from_clean(latents, clean, sigma=schedule.sigma(time))

    # The original decides for a whole batch: one sample at the last entry sends all of them to the end.
    any_last = any(schedule.nearest(time) == len(schedule.sigmas) - 1 for time in grid)
    outputs = {
        "sigmas": torch.from_numpy(schedule.sigmas),
        "timesteps": torch.from_numpy(schedule.times),
        "add_noise_grid": each(grid, noised),
        "add_noise_off": each(off, noised),
        "step_grid": each(grid, stepped),
        "step_off": each(off, stepped),
        "step_batch_grid": each(grid, stepped_to_end if any_last else stepped),
        "step_final": each(grid, stepped_to_end),
    }
    if given.get("training", False):
        outputs["train_weights"] = torch.from_numpy(schedule.training_weights())
        outputs["x0_from_flow_grid"] = each(grid, cleaned)
        outputs["x0_from_flow_off"] = each(off, cleaned)
        outputs["flow_from_x0_grid"] = each(grid, flowed)
    if warps and len(schedule.sigmas) != NUM_TRAIN_TIMES:
        raise Unsupported(f"a warp needs a table of {NUM_TRAIN_TIMES} entries")
    for name in warps:
        outputs[name] = torch.tensor(schedule.warped([int(step) for step in name.split("_")[1:]]))
    return outputs


def _vae(constructor: Mapping[str, Any], tensors: Tensors) -> WanVAE:
    if constructor.get("attn_scales"):
        raise Unsupported("attention outside the middle blocks of the VAE is not built")
    statistics = {}
    if "in.mean" in tensors:
        statistics = {
            "latent_mean": tuple(tensors["in.mean"].tolist()),
            "latent_std": tuple(tensors["in.std"].tolist()),
        }
    vae = WanVAE(
        VaeConfig(
            base_dim=constructor["dim"],
            latent_dim=constructor["z_dim"],
            dim_mult=tuple(constructor["dim_mult"]),
            num_res_blocks=constructor["num_res_blocks"],
            temporal_downsample=tuple(constructor["temperal_downsample"]),
            **statistics,
        )
    )
    vae.load_state_dict(weights_of(tensors), strict=True)
    return vae.requires_grad_(False)
