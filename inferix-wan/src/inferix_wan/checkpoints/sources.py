"""Which parts each model needs, and where their official files come from; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from inferix_core.checkpoints import Release, Source

_APACHE = "Apache-2.0"
_WAN_LICENCE = f"{_APACHE} (the models, says the README of Wan-Video/Wan2.1)"
_SELF_FORCING_LICENCE = f"{_APACHE} (the repository guandeh17/Self-Forcing; see the model card too)"
_TAEHV_LICENCE = "MIT (the repository madebyollin/taehv)"
_CAUSVID_LICENCE = "CC BY-NC-SA 4.0, non-commercial (the repository tianweiy/CausVid; see the model card too)"


def _wan(repository: str, *parts: str) -> tuple[Source, ...]:
    patterns: Mapping[str, tuple[str, ...]] = {
        "transformer": ("diffusion_pytorch_model*.safetensors", "diffusion_pytorch_model*.json", "config.json"),
        "vae": ("Wan2.1_VAE.pth",),
        "text_encoder": ("models_t5_umt5-xxl-enc-bf16.pth",),
        "tokenizer": ("google/umt5-xxl/*",),
        "image_encoder": ("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",),
    }
    return tuple(Source(part, repository, patterns[part], _WAN_LICENCE) for part in parts)


_SMALL = "Wan-AI/Wan2.1-T2V-1.3B"
_SMALL_SIZE = 'model.size = "1.3B"'
_SHARED = _wan(_SMALL, "vae", "text_encoder", "tokenizer")
_TEXT_TO_VIDEO = ("wan2.1-vae", "umt5-xxl")
_IMAGE_TO_VIDEO = ("i2v-14B", *_TEXT_TO_VIDEO, "clip-vit-h-14")
_PARTS = ("transformer", "vae", "text_encoder", "tokenizer")
_ALL_OF_IMAGE = (*_PARTS, "image_encoder")


def _text_to_video(size: str) -> Release:
    sources = _wan(f"Wan-AI/Wan2.1-T2V-{size}", *_PARTS)
    return Release("wan-t2v", (f"t2v-{size}", *_TEXT_TO_VIDEO), _PARTS, sources, setting=f'model.size = "{size}"')


def _image_to_video(resolution: str) -> Release:
    sources = _wan(f"Wan-AI/Wan2.1-I2V-14B-{resolution}", *_ALL_OF_IMAGE)
    return Release("wan-i2v", _IMAGE_TO_VIDEO, _ALL_OF_IMAGE, sources, setting='model.size = "14B"')


RELEASES: Mapping[str, Release] = {
    "self-forcing": Release(
        "self-forcing",
        ("t2v-1.3B", *_TEXT_TO_VIDEO),
        _PARTS,
        (
            Source("transformer", "gdhe17/Self-Forcing", ("checkpoints/self_forcing_dmd.pt",), _SELF_FORCING_LICENCE),
            *_SHARED,
        ),
        setting=_SMALL_SIZE,
        from_trainer=True,
    ),
    "self-forcing-diffusion": Release(
        "self-forcing-diffusion", ("t2v-1.3B", *_TEXT_TO_VIDEO), _PARTS, _SHARED, setting=_SMALL_SIZE, from_trainer=True
    ),
    "causvid": Release(
        "causvid",
        ("t2v-1.3B", *_TEXT_TO_VIDEO),
        _PARTS,
        (
            Source("transformer", "tianweiy/CausVid", ("autoregressive_checkpoint/model.pt",), _CAUSVID_LICENCE),
            *_SHARED,
        ),
        setting=_SMALL_SIZE,
        from_trainer=True,
    ),
    "wan-t2v-1.3B": _text_to_video("1.3B"),
    "wan-t2v-14B": _text_to_video("14B"),
    "wan-i2v-14B-480P": _image_to_video("480P"),
    "wan-i2v-14B-720P": _image_to_video("720P"),
}
"""Release to what it takes; a model may have several, which differ in size."""

DECODERS: Mapping[str, Release] = {
    "taehv": Release(
        "taehv",
        ("taew2.1", "taew2.1-decoder"),
        ("tiny_vae",),
        (Source("tiny_vae", "madebyollin/taehv", ("taew2_1.pth",), _TAEHV_LICENCE, "github.com"),),
    ),
}
"""The same of decoders that every model may be shown with instead of its VAE."""
