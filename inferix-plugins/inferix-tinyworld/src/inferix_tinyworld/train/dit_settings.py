"""The settings of the `dit` stage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from inferix_tinyworld.train.settings import StageSettings


class DitSettings(StageSettings):
    """The causal transformer."""

    vae_dir: Path | None = Field(None, description="folder with vae.safetensors and vae.json; the work_dir if unset")
    num_steps: int = Field(4000, ge=1, description="optimizer steps; the cosine ends there")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of AdamW: tables, biases, ends")
    matrix_learning_rate: float = Field(2e-2, gt=0, description="peak learning rate of Muon: the blocks' matrices")
    num_warmup_steps: int = Field(50, ge=1, description="steps of linear rise to the peak")
    dim: int = Field(192, ge=16)
    ffn_dim: int = Field(512, ge=16)
    num_heads: int = Field(3, ge=1)
    num_layers: int = Field(6, ge=1)
    num_context_blocks: int = Field(1, ge=1, description="clean blocks that a block sees besides itself")
    num_clips: int = Field(1, ge=1, description="clips in a worker's part of a step")
    num_clip_blocks: int = Field(3, ge=1, description="consecutive clean blocks of a clip in a step")
    num_targets: int = Field(
        3, ge=1, description="noisy copies, at levels of their own, of every block that is predicted"
    )
    num_first_blocks: int = Field(4, ge=0, description="first blocks of worlds in a worker's part, without context")
    shift: float = Field(5.0, gt=0, description="of the schedule that levels are drawn from")
    exact_share: float = Field(0.75, ge=0, le=1, description="share of blocks at exactly the sampler's levels")
    object_weight: float = Field(4.0, ge=0, description="extra weight of latents that the object touches")
    context_noise: float = Field(0.2, ge=0, description="largest standard deviation of noise added to the context")
    position_range: int = Field(100_000, ge=1, description="blocks by which positions are shifted at random, at most")
    num_pool_clips: int = Field(1000, ge=16, description="encoded clips in the pool, made while training runs")
    num_pool_blocks: int = Field(6, ge=2, description="blocks of a clip in the pool")
    num_pool_processes: int = Field(1, ge=0, description="processes that fill the pool; 0 if it is full")
