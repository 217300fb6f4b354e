"""All that is known of the Wan family's weights; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferix_core.checkpoints import Family, Tokenizer
from inferix_core.specs import ComponentConfig

from inferix_wan.checkpoints.diffusers import official_tensors
from inferix_wan.checkpoints.kinds import NETWORKS, UNREAD, recognised
from inferix_wan.checkpoints.sources import DECODERS, RELEASES

PLACES: Mapping[str, Sequence[str]] = {
    "transformer": (
        "transformer",
        "diffusion_pytorch_model*.safetensors.index.json",
        "diffusion_pytorch_model*.safetensors",
        "model.pt",
        "checkpoints/*.pt",
        "autoregressive_checkpoint/model.pt",
    ),
    "vae": ("vae", "Wan2.1_VAE.*"),
    "tiny_vae": ("taew2_1.*",),
    "text_encoder": ("text_encoder", "models_t5_umt5-xxl-enc-bf16.*"),
    "image_encoder": ("image_encoder", "models_clip_open-clip-xlm-roberta-large-vit-huge-14.*"),
}
"""Where each part is in a folder that holds several: the official layout, that of diffusers, and those of Self Forcing
and CausVid."""

WAN = Family(
    label="the Wan family",
    places=PLACES,
    networks=NETWORKS,
    releases=RELEASES,
    decoders=DECODERS,
    recognised=recognised,
    official=official_tensors,
    tokenizers=(Tokenizer("UMT5 tokenizer", ("umt5-xxl", "tokenizer"), ("tokenizer.json",)),),
    unread=UNREAD,
    ambiguity="A transformer without a trainer's table around it counts as the bidirectional one of Wan 2.1. If it is "
    "a converted generator of Self Forcing or CausVid it loads, but its names do not tell.",
)


def family(config: ComponentConfig) -> Family:
    """The Wan family, for `inferix weights`."""
    return WAN
