"""All that is known of MAGI-1's weights; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferix_core.checkpoints import ACCEPTED_DTYPES, Family, Tokenizer
from inferix_core.specs import ComponentConfig

from inferix_magi.checkpoints.kinds import NETWORKS, official_tensors, recognised
from inferix_magi.checkpoints.sources import RELEASES

PLACES: Mapping[str, Sequence[str]] = {
    "transformer": ("model.safetensors.index.json", "model.safetensors", "inference_weight*"),
    "vae": ("ckpt/vae", "vae", "diffusion_pytorch_model.safetensors"),
    "text_encoder": ("ckpt/t5/t5-v1_1-xxl", "ckpt/t5", "t5/t5-v1_1-xxl", "t5", "t5-v1_1-xxl"),
}
"""Where each part is in a folder that holds several, as the authors lay them out."""

MAGI = Family(
    label="MAGI-1",
    places=PLACES,
    networks=NETWORKS,
    releases=RELEASES,
    recognised=recognised,
    official=official_tensors,
    tokenizers=(Tokenizer("T5 tokenizer", ("t5-v1_1-xxl", "t5"), ("tokenizer.json", "spiece.model")),),
    dtypes=(*ACCEPTED_DTYPES, "float8_e4m3fn"),
)


def transformer_places(size: str, *, is_distilled: bool, is_packed: bool) -> Sequence[str]:
    """Where the transformer is in a folder: the release's own, one that holds several releases, or a whole download."""
    inside = f"inference_weight{'.fp8' * is_packed}{'.distill' * is_distilled}"
    release = f"{size}_{'distill' if is_distilled else 'base'}{'_quant' * is_packed}"
    above = (f"ckpt/magi/{release}", f"magi/{release}", release)
    return (*above, inside, "model.safetensors.index.json", "model.safetensors")


def family(config: ComponentConfig) -> Family:
    """MAGI-1, for `inferix weights`."""
    return MAGI
