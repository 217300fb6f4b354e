"""What users may set for each component of this package; free of torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from inferix_core.errors import ConfigError
from inferix_core.specs import ComponentConfig
from pydantic import Field

from inferix_wan.planners.config import FewStepSchedule
from inferix_wan.sizes import (
    IMAGE_TO_VIDEO,
    TEXT_TO_VIDEO,
    TRANSFORMERS,
    CausalSize,
    ImageToVideoSize,
    Size,
    TextToVideoSize,
)
from inferix_wan.text.config import TextEncoderConfig
from inferix_wan.transformer.config import TransformerConfig

Weights = Literal["checkpoint", "random"]


class SelfForcingPlannerConfig(FewStepSchedule):
    """How Self Forcing denoises a block."""

    num_block_latents: int = Field(default=3, ge=1, description="Latents generated together.")
    clean_time: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="The time the network is told in the pass that commits a finished block.",
    )
    independent_first_latent: bool = Field(
        default=False, description="Whether the first latent of a world, or of its prefix, is a block of its own."
    )


class FewStepSolverConfig(ComponentConfig):
    """The few-step solver has nothing to set."""


class WanModelConfig(ComponentConfig, ABC):
    """What all models of the family have in common."""

    weights: Weights = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None,
        description="A .pt, .pth or .safetensors file, a sharded index, or a folder with one of these or in an "
        "official layout.",
    )
    state_dict: str | None = Field(
        default=None,
        description="Which weights of a training checkpoint; left out, the averaged ones (generator_ema) where there "
        "are any.",
    )
    size: Size = Field(default="1.3B", description="Dimensions of the networks.")
    height: int = Field(default=480, ge=1, description="Frame height in pixels; a multiple of 16.")
    width: int = Field(default=832, ge=1, description="Frame width in pixels; a multiple of 16.")
    fps: float = Field(default=16.0, gt=0.0, description="Frames per second of the video.")
    negative_prompt: str | None = Field(
        default=None,
        description="What guided planners lead away from; it may be empty. Left out, the model has none.",
    )
    text: TextEncoderConfig = Field(
        default=TextEncoderConfig(), description="The text encoder; random weights come with a random one."
    )
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")
    fused_qkv: bool = Field(
        default=False,
        description="Whether queries, keys and values of self-attention are made in one product; not with packed ones.",
    )
    compile: bool = Field(
        default=False,
        description="Whether each block is compiled (torch.compile) when it first runs; needs a C++ compiler on a CPU "
        "and Triton on CUDA. Frames differ within rounding.",
    )

    @property
    @abstractmethod
    def dimensions(self) -> TransformerConfig:
        """The shape of the transformer."""


class SelfForcingConfig(WanModelConfig):
    """A causal model: Self Forcing, with few steps or many, and CausVid."""

    size: CausalSize = Field(default="1.3B", description="Dimensions of the networks.")

    @property
    def dimensions(self) -> TransformerConfig:
        """The shape of the transformer."""
        return TRANSFORMERS[self.size]


class TextToVideoConfig(WanModelConfig):
    """The bidirectional Wan 2.1, from text."""

    size: TextToVideoSize = Field(default="1.3B", description="Dimensions of the networks.")

    @property
    def dimensions(self) -> TransformerConfig:
        """The shape of the transformer."""
        return TEXT_TO_VIDEO[self.size]


class ImageToVideoConfig(WanModelConfig):
    """The bidirectional Wan 2.1, from a picture and text."""

    size: ImageToVideoSize = Field(default="14B", description="Dimensions of the networks.")
    image_checkpoint: str | None = Field(
        default=None,
        description="models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth, the same in another container; left "
        "out, the one in the folder `checkpoint`.",
    )
    max_latents: int = Field(
        default=21, ge=1, description="Latents of the longest clip: as many are encoded of a picture."
    )

    @property
    def dimensions(self) -> TransformerConfig:
        """The shape of the transformer."""
        return IMAGE_TO_VIDEO[self.size]


class WanVaeDecoderConfig(ComponentConfig):
    """The decoder of the Wan VAE."""

    weights: Weights = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None, description="Wan2.1_VAE.pth, or the same tensors in another container."
    )
    base_dim: int = Field(default=96, ge=1, description="Channels at full resolution.")
    num_res_blocks: int = Field(default=2, ge=1, description="Residual blocks at each resolution of the encoder.")
    max_latents: int = Field(
        default=3, ge=1, description="Latents decoded at once; longer blocks are decoded in parts, in less memory."
    )
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")


class TaehvDecoderConfig(ComponentConfig):
    """The tiny decoder TAEHV."""

    weights: Weights = Field(
        default="checkpoint", description="Where the weights come from; random ones are for benches."
    )
    checkpoint: str | None = Field(
        default=None, description="taew2_1.pth, or the same tensors in another container, with the encoder or without."
    )
    base_dim: int = Field(default=64, ge=1, description="Channels at full resolution.")
    max_latents: int = Field(
        default=3, ge=1, description="Latents decoded at once; longer blocks are decoded in parts, in less memory."
    )
    weights_seed: int = Field(default=0, ge=0, lt=2**63, description="The seed of random weights.")


def checkpoint_path(config: WanModelConfig | WanVaeDecoderConfig | TaehvDecoderConfig, *, section: str) -> str | None:
    """The checkpoint to load, None for random weights.

    Raises `ConfigError` if neither or both were asked for. This is no validator, since a default configuration must
    be valid for a schema to be made of it.
    """
    if config.weights == "random":
        if config.checkpoint is not None:
            raise ConfigError(
                f"{section}: the checkpoint '{config.checkpoint}' was given together with random weights: "
                "leave one of checkpoint and weights out."
            )
        return None
    if config.checkpoint is None:
        raise ConfigError(
            f"{section}: no checkpoint is given. Set {section}.checkpoint to a file or folder, "
            f'or {section}.weights to "random" for a bench. `inferix weights check FOLDER` says what a folder holds '
            "and where official files come from."
        )
    return config.checkpoint
