"""The settings of a training stage: validated, settable from the command line, saved as JSON beside the weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

SettingsT = TypeVar("SettingsT", bound="StageSettings")


class StageSettings(BaseModel):
    """What every stage has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    work_dir: Path = Field(Path("train"), description="folder for checkpoints, log, sheets and finished weights")
    num_steps: int = Field(1000, ge=1, description="optimizer steps; the cosine ends there")
    learning_rate: float = Field(6e-4, gt=0, description="peak learning rate")
    final_learning_rate: float = Field(2e-5, ge=0, description="learning rate at the last step")
    num_warmup_steps: int = Field(200, ge=1, description="steps of linear rise to the peak")
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.998, ge=0, lt=1, description="of the averaged weights that are evaluated and shipped")
    seed: int = Field(
        0, description="of data and noise; each step draws from (seed, step), so resuming changes nothing"
    )
    num_workers: int = Field(2, ge=1, description="parts of a step computed side by side, each on one core")
    num_threads: int = Field(1, ge=1, description="torch threads of each worker")
    device: str = Field("auto", description="cpu, cuda or auto")
    num_log_steps: int = Field(25, ge=1, description="steps between lines of the log")
    checkpoint_seconds: float = Field(180.0, gt=0)
    sheet_seconds: float = Field(600.0, gt=0, description="between evaluations with a contact sheet")


class VaeSettings(StageSettings):
    """The autoencoder and its decoder-only continuation."""

    base_dim: int = Field(16, ge=4, description="VAE channels at full resolution")
    num_res_blocks: int = Field(1, ge=1)
    latent_dim: int = Field(16, ge=1)
    latent_noise: float = Field(0.15, ge=0, description="standard deviation of the noise on latents while training")
    latent_penalty: float = Field(1e-3, ge=0, description="weight of the mean square of the latents")
    num_latent_ramp_steps: int = Field(1500, ge=1, description="steps over which noise and penalty rise from zero")
    num_short_steps: int = Field(400, ge=0, description="first steps, on short clips of many scenes")
    object_weight: float = Field(5.0, ge=0, description="extra weight of pixels around the object")
    edge_weight: float = Field(1.0, ge=0, description="weight of the error of neighbouring pixels' differences")
    num_statistics_clips: int = Field(300, ge=1, description="clips behind the latents' mean and standard deviation")


def parse_settings(kind: type[SettingsT], arguments: list[str], *, prog: str) -> SettingsT:
    """Settings from `--name value` options, one for each field."""
    parser = argparse.ArgumentParser(prog=prog)
    for name, info in kind.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            help=f"{info.description or ''} (default {info.default})",
        )
    return kind.model_validate(vars(parser.parse_args(arguments)))
