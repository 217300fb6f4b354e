"""The runner of the golden case of the multi-step solvers: their levels, and recorded flows through every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from inferix_core.contracts.scheduler import Solver
from inferix_core.plan import Level
from inferix_wan.solvers.config import DpmPlusPlusSolverConfig, UniPCSolverConfig
from inferix_wan.solvers.dpm_plus_plus import DpmPlusPlusSolver
from inferix_wan.solvers.sampling import Spacing, sampling_levels
from inferix_wan.solvers.unipc import UniPCSolver
from torch import Tensor

SPACINGS: Mapping[str, Spacing] = {"unipc": "unipc", "dpmpp": "dpm-plus-plus", "dpm++": "dpm-plus-plus"}


def run_solvers(case: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every configuration of the case, and the schedules alone (`schedule_<solver>_n<steps>_s<shift>`)."""
    outputs: dict[str, Tensor] = {}
    for name, given in case["constructor"]["per_config"].items():
        levels = sampling_levels(given["n"], shift=given["shift"], spacing=SPACINGS[name.partition("_")[0]])
        outputs |= _schedule(name, levels)
        latents, history = tensors[f"in.{name}.sample"], None
        update = _solver(name, given).update
        for index, flow in enumerate(tensors[f"in.{name}.flows"]):
            level, target = levels[index], levels[index + 1]
            latents, history = update(latents, flow, level=level, target=target, noise=_no_noise, history=history)
            outputs[f"{name}.step{index}"] = latents
    for name in {key.split(".")[1] for key in tensors if key.startswith("out.schedule_")}:
        _, solver, num_steps, shift = name.split("_")
        levels = sampling_levels(int(num_steps[1:]), shift=float(shift[1:]), spacing=SPACINGS[solver])
        outputs |= _schedule(name, levels)
    return outputs


def _schedule(name: str, levels: Sequence[Level]) -> dict[str, Tensor]:
    return {
        f"{name}.sigmas": torch.tensor([level.sigma for level in levels]),
        f"{name}.timesteps": torch.tensor([int(level.time) for level in levels[:-1]]),
    }


def _solver(name: str, given: Mapping[str, Any]) -> Solver:
    common = {"order": given.get("solver_order", 2), "num_steps": given["n"]}
    if name.startswith("unipc"):
        return UniPCSolver(UniPCSolverConfig(**common))
    return DpmPlusPlusSolver(DpmPlusPlusSolverConfig(**common, variant=given.get("solver_type", "midpoint")))


def _no_noise() -> Tensor:
    raise AssertionError("these solvers draw no noise")
