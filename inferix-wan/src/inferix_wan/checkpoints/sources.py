"""Which parts each model needs, and where their official files come from; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from inferix_core.errors import ConfigError, nearest

Component = Literal["transformer", "vae", "tiny_vae", "text_encoder", "tokenizer", "image_encoder"]
Host = Literal["huggingface.co", "github.com"]

_APACHE = "Apache-2.0"
_WAN_LICENCE = f"{_APACHE} (the models, says the README of Wan-Video/Wan2.1)"
_SELF_FORCING_LICENCE = f"{_APACHE} (the repository guandeh17/Self-Forcing; see the model card too)"
_TAEHV_LICENCE = "MIT (the repository madebyollin/taehv)"
_CAUSVID_LICENCE = "CC BY-NC-SA 4.0, non-commercial (the repository tianweiy/CausVid; see the model card too)"


@dataclass(frozen=True, slots=True)
class Source:
    """The official files of one component: a repository and what their names match."""

    part: Component
    repository: str
    patterns: tuple[str, ...]
    licence: str
    host: Host = "huggingface.co"

    @property
    def address(self) -> str:
        """Where people find the repository."""
        return f"https://{self.host}/{self.repository}"

    def matches(self, name: str) -> bool:
        """Whether a file of the repository belongs to the component."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Release:
    """The weights of a model in one size, or of a decoder of its own: the networks that it takes, and their sources."""

    model: str
    networks: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def parts(self) -> tuple[Component, ...]:
        """The components that it needs."""
        if self.networks == _TINY_VAE:
            return ("tiny_vae",)
        needed: tuple[Component, ...] = ("transformer", "vae", "text_encoder", "tokenizer")
        return (*needed, "image_encoder") if "clip-vit-h-14" in self.networks else needed


def _wan(repository: str, *parts: Component) -> tuple[Source, ...]:
    patterns: Mapping[Component, tuple[str, ...]] = {
        "transformer": ("diffusion_pytorch_model*.safetensors", "diffusion_pytorch_model*.json", "config.json"),
        "vae": ("Wan2.1_VAE.pth",),
        "text_encoder": ("models_t5_umt5-xxl-enc-bf16.pth",),
        "tokenizer": ("google/umt5-xxl/*",),
        "image_encoder": ("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",),
    }
    return tuple(Source(part, repository, patterns[part], _WAN_LICENCE) for part in parts)


_TINY_VAE = ("taew2.1", "taew2.1-decoder")
_SMALL = "Wan-AI/Wan2.1-T2V-1.3B"
_SHARED = _wan(_SMALL, "vae", "text_encoder", "tokenizer")
_TEXT_TO_VIDEO = ("wan2.1-vae", "umt5-xxl")
_IMAGE_TO_VIDEO = ("i2v-14B", *_TEXT_TO_VIDEO, "clip-vit-h-14")
_ALL_OF_IMAGE: Sequence[Component] = ("transformer", "vae", "text_encoder", "tokenizer", "image_encoder")

RELEASES: Mapping[str, Release] = {
    "self-forcing": Release(
        "self-forcing",
        ("t2v-1.3B", *_TEXT_TO_VIDEO),
        (
            Source("transformer", "gdhe17/Self-Forcing", ("checkpoints/self_forcing_dmd.pt",), _SELF_FORCING_LICENCE),
            *_SHARED,
        ),
    ),
    "self-forcing-diffusion": Release("self-forcing-diffusion", ("t2v-1.3B", *_TEXT_TO_VIDEO), _SHARED),
    "causvid": Release(
        "causvid",
        ("t2v-1.3B", *_TEXT_TO_VIDEO),
        (
            Source("transformer", "tianweiy/CausVid", ("autoregressive_checkpoint/model.pt",), _CAUSVID_LICENCE),
            *_SHARED,
        ),
    ),
    "wan-t2v-1.3B": Release(
        "wan-t2v",
        ("t2v-1.3B", *_TEXT_TO_VIDEO),
        _wan(_SMALL, "transformer", "vae", "text_encoder", "tokenizer"),
    ),
    "wan-t2v-14B": Release(
        "wan-t2v",
        ("t2v-14B", *_TEXT_TO_VIDEO),
        _wan("Wan-AI/Wan2.1-T2V-14B", "transformer", "vae", "text_encoder", "tokenizer"),
    ),
    "wan-i2v-14B-480P": Release("wan-i2v", _IMAGE_TO_VIDEO, _wan("Wan-AI/Wan2.1-I2V-14B-480P", *_ALL_OF_IMAGE)),
    "wan-i2v-14B-720P": Release("wan-i2v", _IMAGE_TO_VIDEO, _wan("Wan-AI/Wan2.1-I2V-14B-720P", *_ALL_OF_IMAGE)),
}
"""Release to what it takes; a model may have several, which differ in size."""

DECODERS: Mapping[str, Release] = {
    "taehv": Release(
        "taehv",
        _TINY_VAE,
        (Source("tiny_vae", "madebyollin/taehv", ("taew2_1.pth",), _TAEHV_LICENCE, "github.com"),),
    ),
}
"""The same of decoders that every model may be shown with instead of its VAE."""


def releases_of(name: str) -> Mapping[str, Release]:
    """The releases that a release's, a model's or a decoder's name stands for. Raises `ConfigError` for any other."""
    known = {**RELEASES, **DECODERS}
    if name in known:
        return {name: known[name]}
    found = {key: release for key, release in RELEASES.items() if release.model == name}
    if not found:
        names = sorted({*known, *(release.model for release in RELEASES.values())})
        raise ConfigError(
            f"There are no weights for a model '{name}'.{nearest(name, names)} Known: {', '.join(names)}."
        )
    return found
