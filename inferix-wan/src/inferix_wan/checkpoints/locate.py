"""Where in a folder the tensors of a part lie; free of torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from inferix_core.errors import CheckpointError

Part = Literal["transformer", "vae", "tiny_vae", "text_encoder", "image_encoder"]

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
SAFETENSORS_SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")

PLACES: Mapping[Part, Sequence[str]] = {
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


def files_of(path: Path, *, part: Part | None = None) -> tuple[Path, ...]:
    """The file of a checkpoint, or its shards, for a file, one of the shards, an index or a folder.

    In a folder of several checkpoints that of the `part` is found by its official name.
    Raises `CheckpointError` if there is none, there are several, or shards are missing.
    """
    if not path.exists():
        raise CheckpointError(f"The checkpoint '{path}' does not exist. Give a file, a sharded index or a folder.")
    if path.is_dir():
        return _files_in(path, part)
    if path.name.endswith(INDEX_SUFFIX):
        return _shards_of_index(path)
    if path.suffix != SAFETENSORS_SUFFIX and path.suffix not in TORCH_SUFFIXES:
        raise CheckpointError(
            f"'{path}' is no known kind of checkpoint. Accepted: {', '.join(TORCH_SUFFIXES)}, {SAFETENSORS_SUFFIX}, "
            f"an index '*{INDEX_SUFFIX}', or a folder with one of these."
        )
    return shards_beside(path)


def shards_beside(path: Path) -> tuple[Path, ...]:
    """All shards of the set that the shard belongs to; the file alone if it is no shard.

    Raises `CheckpointError` if shards are missing.
    """
    found = _SHARD.fullmatch(path.name)
    if found is None:
        return (path,)
    count = int(found[3])
    shards = [path.with_name(f"{found[1]}-{shard:05}-of-{found[3]}.safetensors") for shard in range(1, count + 1)]
    return _all_present(shards, of=f"'{path.parent}' holds a checkpoint of {count} shards")


def names_in_index(index: Path) -> Mapping[str, str]:
    """Tensor name to the name of its shard. Raises `CheckpointError` for a file that is no index."""
    try:
        shard_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        sorted(set(shard_of.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"'{index}' is no index of shards: it needs a table 'weight_map' ({error}).") from error
    return shard_of


def _files_in(folder: Path, part: Part | None) -> tuple[Path, ...]:
    for place in PLACES[part] if part is not None else ():
        found = _one(folder, sorted(folder.glob(place)))
        if found is not None:
            return files_of(found, part=part)
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    for suffixes in ((INDEX_SUFFIX,), (SAFETENSORS_SUFFIX,), TORCH_SUFFIXES):
        found = _one(folder, [path for path in paths if path.name.endswith(suffixes)])
        if found is not None:
            return files_of(found)
    names = [path.name for path in sorted(folder.iterdir())]
    raise CheckpointError(
        f"The folder '{folder}' holds no checkpoint, but {', '.join(names[:8]) or 'nothing'}. Accepted: "
        f"{', '.join(TORCH_SUFFIXES)}, {SAFETENSORS_SUFFIX}, or an index '*{INDEX_SUFFIX}' with its shards."
    )


def _one(folder: Path, candidates: Sequence[Path]) -> Path | None:
    """The only candidate, counting the shards of one set as one; None if there is none."""
    sets = {(shard[1] if (shard := _SHARD.fullmatch(path.name)) else path.name): path for path in candidates}
    if len(sets) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in candidates)
        raise CheckpointError(f"The folder '{folder}' holds several checkpoints ({names}): name one.")
    return next(iter(sets.values()), None)


def _shards_of_index(index: Path) -> tuple[Path, ...]:
    shards = [index.parent / name for name in sorted(set(names_in_index(index).values()))]
    return _all_present(shards, of=f"'{index}' names {len(shards)} shards")


def _all_present(shards: Sequence[Path], *, of: str) -> tuple[Path, ...]:
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        raise CheckpointError(f"{of}, but {', '.join(absent)} are not beside it.")
    return tuple(shards)
