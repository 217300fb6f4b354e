"""Where in a folder the tensors of a part lie; free of torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from inferix_core.errors import CheckpointError

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
SAFETENSORS_SUFFIX = ".safetensors"
INDEX_SUFFIXES = (".safetensors.index.json", ".bin.index.json")
COMPRESSED_SUFFIX = ".zst"
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.safetensors|\.bin)")


def files_of(path: Path, *, places: Sequence[str] = ()) -> tuple[Path, ...]:
    """The file of a checkpoint, or its shards, for a file, one of the shards, an index or a folder.

    In a folder of several checkpoints the one that is meant is found by the first of the `places` that is there:
    patterns of files, or of folders that are looked through in their turn.
    Raises `CheckpointError` if there is none, there are several, or shards are missing.
    """
    if not path.exists():
        raise CheckpointError(f"The checkpoint '{path}' does not exist. Give a file, a sharded index or a folder.")
    if path.is_dir():
        return _files_in(path, places)
    if path.name.endswith(INDEX_SUFFIXES):
        return _shards_of_index(path)
    if path.suffix == COMPRESSED_SUFFIX:
        raise CheckpointError(f"'{path}' is compressed and cannot be mapped into memory. Unpack it: zstd -d {path}")
    if path.suffix != SAFETENSORS_SUFFIX and path.suffix not in TORCH_SUFFIXES:
        raise CheckpointError(
            f"'{path}' is no known kind of checkpoint. Accepted: {', '.join(TORCH_SUFFIXES)}, {SAFETENSORS_SUFFIX}, "
            f"an index '*{INDEX_SUFFIXES[0]}', or a folder with one of these."
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
    shards = [path.with_name(f"{found[1]}-{shard:05}-of-{found[3]}{found[4]}") for shard in range(1, count + 1)]
    return _all_present(shards, of=f"'{path.parent}' holds a checkpoint of {count} shards")


def names_in_index(index: Path) -> Mapping[str, str]:
    """Tensor name to the name of its shard. Raises `CheckpointError` for a file that is no index."""
    try:
        shard_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        sorted(set(shard_of.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"'{index}' is no index of shards: it needs a table 'weight_map' ({error}).") from error
    return shard_of


def _files_in(folder: Path, places: Sequence[str]) -> tuple[Path, ...]:
    for place in places:
        found = _one(folder, sorted(folder.glob(place)))
        if found is not None:
            return files_of(found, places=places)
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    mapped, torch_index = INDEX_SUFFIXES
    for suffixes in ((mapped,), (SAFETENSORS_SUFFIX,), (torch_index,), TORCH_SUFFIXES):
        found = _one(folder, [path for path in paths if path.name.endswith(suffixes)])
        if found is not None:
            return files_of(found)
    compressed = [path for path in paths if path.suffix == COMPRESSED_SUFFIX]
    if compressed:
        return files_of(compressed[0])
    names = [path.name for path in sorted(folder.iterdir())]
    looked_for = f"Looked for: {', '.join(places)}. " if places else ""
    raise CheckpointError(
        f"The folder '{folder}' holds no checkpoint, but {', '.join(names[:8]) or 'nothing'}. {looked_for}Accepted: "
        f"{', '.join(TORCH_SUFFIXES)}, {SAFETENSORS_SUFFIX}, or an index '*{INDEX_SUFFIXES[0]}' with its shards."
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
    compressed = [name for name in absent if shards[0].with_name(name + COMPRESSED_SUFFIX).is_file()]
    if compressed:
        raise CheckpointError(
            f"{of}, of which {len(compressed)} are compressed, and compressed files cannot be mapped into memory. "
            f"Unpack them beside it: zstd -d {shards[0].with_name(compressed[0] + COMPRESSED_SUFFIX)}"
        )
    if absent:
        raise CheckpointError(f"{of}, but {', '.join(absent)} are not beside it.")
    return tuple(shards)
