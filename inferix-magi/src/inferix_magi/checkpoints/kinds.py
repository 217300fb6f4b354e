"""What a set of tensors is, told by names and shapes alone; free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inferix_core.checkpoints import Kind, LazyTensor, Shape, Shapes
from inferix_core.checkpoints.telling import axis_length, has_any, num_numbered

from inferix_magi.checkpoints.shapes import packed_transformer_tensors, t5_tensors, transformer_tensors, vae_tensors
from inferix_magi.text.config import T5Config
from inferix_magi.transformer.official import MAGI_4_5B, MAGI_24B
from inferix_magi.vae.config import VaeConfig

_SIZES = {"4.5B": MAGI_4_5B, "24B": MAGI_24B}
PACKED = "-fp8"
"""What the names of networks with packed weights end with."""

NETWORKS: Mapping[str, Callable[[], Shapes]] = {
    "4.5B": lambda: transformer_tensors(MAGI_4_5B),
    f"4.5B{PACKED}": lambda: packed_transformer_tensors(MAGI_4_5B),
    "24B": lambda: transformer_tensors(MAGI_24B),
    f"24B{PACKED}": lambda: packed_transformer_tensors(MAGI_24B),
    "magi-1-vae": lambda: vae_tensors(VaeConfig()),
    "t5-v1_1-xxl": lambda: t5_tensors(T5Config()),
}
"""Name of an official network to its tensors, which are made when asked for. Base and distilled ones are alike."""

_T5_TABLES = ("encoder.embed_tokens.weight", "shared.weight")


def recognised(shapes: Mapping[str, Shape]) -> Kind | None:
    """What tensors of these names and shapes are; None if they are none of a MAGI-1 model."""
    if has_any(shapes, "videodit_blocks."):
        return _transformer(shapes)
    if has_any(shapes, "encoder.patch_embed.", "decoder.proj_in.") and has_any(
        shapes, "encoder.blocks.", "decoder.blocks."
    ):
        dim = axis_length(shapes, -1, "encoder.cls_token", "decoder.cls_token")
        layers = num_numbered(shapes, r"(?:en|de)coder\.blocks\.(\d+)\.")
        is_official = (dim, layers) == (VaeConfig().dim, VaeConfig().num_layers)
        return Kind("vae", "magi-1-vae" if is_official else None, (("dim", dim), ("layers", layers)))
    if has_any(shapes, "encoder.block.0."):
        return _t5(shapes)
    return None


def official_tensors(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    """The tensors as the networks have them: of a T5 its encoder alone, with one token table."""
    if not has_any(tensors, "encoder.block.0."):
        return tensors
    found = {name: value for name, value in tensors.items() if name.startswith("encoder.")}
    table = next((tensors[name] for name in _T5_TABLES if name in tensors), None)
    return found if table is None else found | {_T5_TABLES[0]: table}


def _transformer(shapes: Mapping[str, Shape]) -> Kind:
    dim = axis_length(
        shapes, 0, "videodit_blocks.final_layernorm.weight", "x_embedder.weight", "y_embedder.y_proj_xattn.0.bias"
    )
    channels = axis_length(shapes, 1, "x_embedder.weight")
    layers = num_numbered(shapes, r"videodit_blocks\.layers\.(\d+)\.")
    packed = PACKED if any(name.endswith(".weight_scale") for name in shapes) else ""
    size = next(
        (
            name
            for name, config in _SIZES.items()
            if (dim, layers, channels) == (config.dim, config.num_layers, config.in_channels)
        ),
        None,
    )
    dimensions = (("dim", dim), ("layers", layers), ("channels in", channels))
    return Kind("transformer", None if size is None else size + packed, dimensions)


def _t5(shapes: Mapping[str, Shape]) -> Kind:
    rows, dim = (axis_length(shapes, axis, *_T5_TABLES) for axis in (0, 1))
    layers = num_numbered(shapes, r"encoder\.block\.(\d+)\.")
    config = T5Config()
    is_official = (rows, dim, layers) == (config.vocab_size, config.dim, config.num_layers)
    dimensions = (("dim", dim), ("layers", layers), ("tokens", rows))
    return Kind("text_encoder", "t5-v1_1-xxl" if is_official else None, dimensions)
