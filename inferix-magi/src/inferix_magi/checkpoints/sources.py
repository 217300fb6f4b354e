"""The releases of MAGI-1 and where their files come from; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from inferix_core.checkpoints import Release, Source

from inferix_magi.checkpoints.kinds import PACKED

REPOSITORY = "sand-ai/MAGI-1"
_LICENCE = "Apache-2.0 (the models, says the README of SandAI-org/MAGI-1; see the model card too)"
_T5_LICENCE = "Apache-2.0 (T5 v1.1 of Google, in the files of DeepFloyd; see the model card too)"
_PARTS = ("transformer", "vae", "text_encoder", "tokenizer")
_T5_FOLDER = "ckpt/t5/*"
_SHARED = (
    Source("vae", REPOSITORY, ("ckpt/vae/*",), _LICENCE),
    Source("text_encoder", REPOSITORY, (_T5_FOLDER,), _T5_LICENCE),
    Source("tokenizer", REPOSITORY, (_T5_FOLDER,), _T5_LICENCE),
)


def _release(preset: str, folder: str, *, network: str) -> Release:
    transformer = Source("transformer", REPOSITORY, (f"ckpt/magi/{folder}/*",), _LICENCE)
    networks = (network, "magi-1-vae", "t5-v1_1-xxl")
    return Release("magi", networks, _PARTS, (transformer, *_SHARED), setting=f'model.preset = "{preset}"')


RELEASES: Mapping[str, Release] = {
    "magi-4.5B": _release("4.5B", "4.5B_base", network="4.5B"),
    "magi-4.5B-distill": _release("4.5B-distill", "4.5B_distill", network="4.5B"),
    "magi-4.5B-distill-fp8": _release("4.5B-distill-fp8", "4.5B_distill_quant", network=f"4.5B{PACKED}"),
    "magi-24B": _release("24B", "24B_base", network="24B"),
    "magi-24B-distill": _release("24B-distill", "24B_distill", network="24B"),
    "magi-24B-distill-fp8": _release("24B-distill-fp8", "24B_distill_quant", network=f"24B{PACKED}"),
}
"""Release to what it takes. A base model and its distilled one cannot be told by their tensors."""
