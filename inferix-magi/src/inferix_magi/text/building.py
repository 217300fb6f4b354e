"""The text encoder from its configuration: T5, from files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from inferix_core.errors import CheckpointError, ConfigError
from inferix_core.text.encoder import PromptEncoder
from inferix_core.text.places import text_places
from inferix_core.text.tokenizer import FILE

from inferix_magi.checkpoints.family import PLACES
from inferix_magi.checkpoints.loading import load_part
from inferix_magi.text.cleaning import clean_caption
from inferix_magi.text.config import MagiTextConfig, T5Config
from inferix_magi.text.t5 import T5Network
from inferix_magi.text.tokenizer import SENTENCES_FILE, t5_tokenizer

_CONFIG_FILE = "config.json"
_FIELDS: Mapping[str, str] = {
    "vocab_size": "vocab_size",
    "d_model": "dim",
    "d_kv": "head_dim",
    "d_ff": "ffn_dim",
    "num_heads": "num_heads",
    "num_layers": "num_layers",
    "relative_attention_num_buckets": "num_buckets",
    "relative_attention_max_distance": "max_distance",
    "layer_norm_epsilon": "eps",
}
"""What a T5's config.json calls the fields of its shape."""
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_text_encoder(
    config: MagiTextConfig,
    *,
    beside: str | None,
    device: torch.device,
    dtype: torch.dtype,
    text_dim: int,
    max_tokens: int,
) -> PromptEncoder:
    """The encoder, whose embeddings go to a model on `device` in `dtype`; one copy of the weights is made.

    Files that are not configured are looked for in the folder `beside`, the model's checkpoint. The network's shape is
    that of the config.json beside its weights, or that of `t5-v1_1-xxl`.

    Raises `ConfigError` for a checkpoint, a tokenizer or a device that is not there, `CheckpointError` for files that
    do not fit or do not make embeddings of `text_dim`, `UnsupportedError` if a package that reads them is not there.
    """
    checkpoint = _checkpoint(config, beside)
    folder = _folder_with((FILE, SENTENCES_FILE), checkpoint)
    tokenizer = t5_tokenizer(Path(config.tokenizer) if config.tokenizer else folder, max_tokens=max_tokens)
    resting, computing = text_places(config.device, device=device, section="model.text")
    shape = _shape(_folder_with((_CONFIG_FILE,), checkpoint) / _CONFIG_FILE)
    if shape.dim != text_dim:
        raise CheckpointError(
            f"The text encoder '{checkpoint}' makes embeddings of {shape.dim}, but the model reads {text_dim}: give "
            "the one that belongs to the model."
        )
    with torch.device("meta"):
        network = T5Network(shape)
    load_part(network, checkpoint, device=resting, dtype=_PRECISIONS[config.precision])
    return PromptEncoder(
        network,
        tokenizer,
        vocab_size=network.config.vocab_size,
        clean=clean_caption,
        device=device,
        dtype=dtype,
        compute_device=computing,
        num_cached_prompts=config.num_cached_prompts,
    )


def has_text_encoder(config: MagiTextConfig, *, beside: str | None) -> bool:
    """Whether files of a text encoder are configured, or lie in the folder `beside`."""
    return config.checkpoint is not None or _folder_beside(beside) is not None


def _checkpoint(config: MagiTextConfig, beside: str | None) -> Path:
    if config.checkpoint is not None:
        return Path(config.checkpoint)
    found = _folder_beside(beside)
    if found is None:
        raise ConfigError(
            "model.text: the T5 text encoder is needed, and no file of it is given. Set model.text.checkpoint to the "
            "folder t5-v1_1-xxl (ckpt/t5 of a MAGI-1 download), or model.checkpoint to a folder that holds it too. "
            "`inferix weights check FOLDER` says what a folder holds and where official files come from."
        )
    return found


def _folder_beside(beside: str | None) -> Path | None:
    if beside is None or not Path(beside).is_dir():
        return None
    places = (Path(beside) / place for place in PLACES["text_encoder"])
    return next((place for place in places if place.is_dir()), None)


def _folder_with(names: Sequence[str], checkpoint: Path) -> Path:
    """The folder of the weights, or the first in it that has one of the files; that of the weights if none has."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    candidates = (folder, *sorted(path for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ()
    return next((one for one in candidates if any((one / name).is_file() for name in names)), folder)


def _shape(file: Path) -> T5Config:
    """The shape that a config.json says; the released one if there is none, or it says nothing of a T5."""
    if not file.is_file():
        return T5Config()
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        return T5Config(**{ours: given[theirs] for theirs, ours in _FIELDS.items() if theirs in given})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"'{file}' is damaged ({error}): copy it again.") from error
