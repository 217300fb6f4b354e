"""What a set of tensors is, told by names and shapes alone; free of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from inferix_wan.checkpoints.locate import Part
from inferix_wan.checkpoints.shapes import (
    Shapes,
    clip_tensors,
    tiny_vae_tensors,
    transformer_tensors,
    umt5_tensors,
    vae_tensors,
)
from inferix_wan.checkpoints.tensors import Shape
from inferix_wan.image.config import ClipConfig
from inferix_wan.text.config import Umt5Config
from inferix_wan.tiny_vae.config import TinyVaeConfig
from inferix_wan.transformer.official import WAN21_I2V_14B, WAN21_T2V_1_3B, WAN21_T2V_14B
from inferix_wan.vae.config import VaeConfig


@dataclass(frozen=True, slots=True)
class Kind:
    """What a checkpoint is: a part of a model, the official network that it is (None for another size), its dimensions.

    The causal generators of Self Forcing and CausVid are `t2v-1.3B`: their tensors are those of Wan 2.1.
    """

    part: Part
    network: str | None
    dimensions: tuple[tuple[str, int], ...]

    @property
    def label(self) -> str:
        """`the t2v-14B transformer (dim 5120, layers 40, channels in 16)`."""
        part = self.part.replace("_", " ")
        known = (self.network or "").removesuffix(f"-{self.part}")
        name = f"the {known} {part}" if known else f"a {part} of no released size"
        return f"{name} ({', '.join(f'{what} {length}' for what, length in self.dimensions)})"

    @property
    def is_certain(self) -> bool:
        """Whether the tensors that tell the dimensions are all there."""
        return all(length > 0 for _, length in self.dimensions)


NETWORKS: Mapping[str, Callable[[], Shapes]] = {
    "t2v-1.3B": lambda: transformer_tensors(WAN21_T2V_1_3B),
    "t2v-14B": lambda: transformer_tensors(WAN21_T2V_14B),
    "i2v-14B": lambda: transformer_tensors(WAN21_I2V_14B),
    "wan2.1-vae": lambda: vae_tensors(VaeConfig()),
    "taew2.1": lambda: tiny_vae_tensors(TinyVaeConfig()),
    "taew2.1-decoder": lambda: tiny_vae_tensors(TinyVaeConfig(), has_encoder=False),
    "umt5-xxl": lambda: umt5_tensors(Umt5Config()),
    "clip-vit-h-14": lambda: clip_tensors(ClipConfig()),
}
"""Name of an official network to its tensors, which are made when asked for."""

UNREAD = ("textual.", "log_scale", "visual.post_norm.", "visual.head")
"""What the names of official tensors begin with that no model here reads: of CLIP all but the tokens of pictures."""


def recognised(shapes: Mapping[str, Shape]) -> Kind | None:
    """What tensors of these names and shapes are; None if they are none of a Wan model.

    Official names are understood, and those of this package's modules.
    """
    if _any(shapes, "blocks.0.self_attn."):
        return _transformer(shapes)
    if _any(shapes, "decoder.upsamples.", "encoder.downsamples."):
        base = shapes.get("encoder.conv1.weight", (0,))[0]
        return Kind("vae", "wan2.1-vae" if base == VaeConfig().base_dim else None, (("base dim", base),))
    if "decoder.3.conv.0.weight" in shapes:
        return _tiny_vae(shapes)
    if _any(shapes, "blocks.0.attn.", "encoder.block.0."):
        return _umt5(shapes)
    if "visual.cls_embedding" in shapes or "cls_embedding" in shapes:
        dim = shapes.get("visual.cls_embedding", shapes.get("cls_embedding", (0,)))[-1]
        layers = _count(shapes, r"(?:visual\.)?transformer\.(\d+)\.")
        is_official = (dim, layers) == (ClipConfig().dim, ClipConfig().num_layers)
        return Kind("image_encoder", "clip-vit-h-14" if is_official else None, (("dim", dim), ("layers", layers)))
    return None


def _transformer(shapes: Mapping[str, Shape]) -> Kind:
    dim = _axis(shapes, -1, "head.modulation", "blocks.0.modulation", "blocks.0.self_attn.q.weight")
    channels = _axis(shapes, 1, "patch_embedding.weight")
    layers = _count(shapes, r"blocks\.(\d+)\.")
    takes_image = _any(shapes, "img_emb.")
    official = {
        "t2v-1.3B": WAN21_T2V_1_3B,
        "t2v-14B": WAN21_T2V_14B,
        "i2v-14B": WAN21_I2V_14B,
    }
    found = (dim, layers, channels, takes_image)
    network = next(
        (
            name
            for name, config in official.items()
            if found == (config.dim, config.num_layers, config.in_channels, config.image_dim is not None)
        ),
        None,
    )
    return Kind("transformer", network, (("dim", dim), ("layers", layers), ("channels in", channels)))


def _tiny_vae(shapes: Mapping[str, Shape]) -> Kind:
    """TAEHV comes in kinds for several models, which differ in the channels of latents and frames."""
    official = TinyVaeConfig()
    dim, latent = _axis(shapes, 0, "decoder.20.weight"), _axis(shapes, 1, "decoder.1.weight")
    whole = "taew2.1" if _any(shapes, "encoder.") else "taew2.1-decoder"
    is_official = (dim, latent, _axis(shapes, 0, "decoder.22.weight")) == (official.base_dim, official.latent_dim, 3)
    return Kind("tiny_vae", whole if is_official else None, (("base dim", dim), ("latent channels", latent)))


def _umt5(shapes: Mapping[str, Shape]) -> Kind:
    tables = ("token_embedding.weight", "shared.weight", "encoder.embed_tokens.weight")
    rows, dim = next((shapes[name] for name in tables if name in shapes), (0, 0))
    layers = _count(shapes, r"(?:blocks|encoder\.block)\.(\d+)\.")
    config = Umt5Config()
    is_official = (rows, dim, layers) == (config.vocab_size, config.dim, config.num_layers)
    return Kind(
        "text_encoder", "umt5-xxl" if is_official else None, (("dim", dim), ("layers", layers), ("tokens", rows))
    )


def _any(names: Iterable[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)


def _axis(shapes: Mapping[str, Shape], axis: int, *names: str) -> int:
    """The length of an axis of the first of the tensors that is there; 0 if none is."""
    return next((shapes[name][axis] for name in names if len(shapes.get(name, ())) > max(axis, 0)), 0)


def _count(names: Iterable[str], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)
