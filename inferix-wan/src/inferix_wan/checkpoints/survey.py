"""What a file or folder holds: every checkpoint in it, what it is, and what is wrong with it; free of torch itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferix_core.errors import CheckpointError

from inferix_wan.checkpoints.diagnosis import differences
from inferix_wan.checkpoints.kinds import NETWORKS, UNREAD, Kind, recognised
from inferix_wan.checkpoints.locate import (
    INDEX_SUFFIX,
    SAFETENSORS_SUFFIX,
    TORCH_SUFFIXES,
    files_of,
    shards_beside,
)
from inferix_wan.checkpoints.opening import Checkpoint, open_checkpoint
from inferix_wan.checkpoints.sources import DECODERS, RELEASES, Component, Release
from inferix_wan.checkpoints.tensors import LazyTensor

_MAX_DEPTH = 3
_TOKENIZER_FILE = "tokenizer.json"
_TOKENIZER_FOLDERS = ("umt5-xxl", "tokenizer")


@dataclass(frozen=True, slots=True)
class Found:
    """One checkpoint or tokenizer in a folder. `problems` are empty for one that can be loaded."""

    path: Path
    part: Component | None
    network: str | None = None
    description: str = ""
    num_files: int = 1
    num_bytes: int = 0
    num_tensors: int = 0
    dtypes: tuple[str, ...] = ()
    state_dict: str | None = None
    state_dicts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """The releases that it fits."""
        if self.problems or self.part is None:
            return ()
        if self.part == "tokenizer":
            return tuple(RELEASES)
        if self.part == "tiny_vae":
            return tuple(RELEASES) if self.fits(DECODERS["taehv"]) else ()
        return tuple(name for name, release in RELEASES.items() if self.fits(release))

    def fits(self, release: Release) -> bool:
        """Whether the release can be run from it.

        A trainer's file holds a causal generator and a bare one a bidirectional transformer, though their tensors
        have the same names and shapes.
        """
        if self.problems or self.part not in release.parts:
            return False
        if self.part == "tokenizer":
            return True
        if self.network not in release.networks:
            return False
        is_generator = self.state_dict in ("generator", "generator_ema")
        return self.part != "transformer" or is_generator == (not release.model.startswith("wan-"))


def survey(path: Path) -> list[Found]:
    """What lies at `path`, down to three folders deep. Names and shapes alone are read.

    Raises `CheckpointError` if there is nothing at `path`, or it is a file of no known kind.
    """
    if path.is_dir():
        return [*(_examined(each) for each in _checkpoints_in(path, _MAX_DEPTH)), *_tokenizers_in(path, _MAX_DEPTH)]
    files_of(path)
    return [_examined(path)]


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _checkpoints_in(folder: Path, depth: int) -> Iterator[Path]:
    """Every index, every first shard of a set without one, every single file."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    indices = [path for path in files if path.name.endswith(INDEX_SUFFIX)]
    claimed = {shard for index in indices for shard in _claimed_by(index)}
    yield from indices
    seen: set[Path] = set()
    for path in files:
        if path in claimed or path in seen:
            continue
        if path.suffix == SAFETENSORS_SUFFIX:
            seen.update(_set_of(path))
            yield path
        elif path.suffix in TORCH_SUFFIXES:
            yield path
    if depth > 0:
        for inner in _folders_in(folder):
            yield from _checkpoints_in(inner, depth - 1)


def _claimed_by(index: Path) -> Sequence[Path]:
    try:
        return files_of(index)
    except CheckpointError:
        stem = index.name.removesuffix(INDEX_SUFFIX)
        return sorted(index.parent.glob(f"{stem}-*{SAFETENSORS_SUFFIX}"))


def _set_of(path: Path) -> Sequence[Path]:
    try:
        return shards_beside(path)
    except CheckpointError:
        return sorted(path.parent.glob(f"{path.name.rsplit('-', 3)[0]}-*-of-*{SAFETENSORS_SUFFIX}"))


def _tokenizers_in(folder: Path, depth: int) -> Iterator[Found]:
    if folder.name in _TOKENIZER_FOLDERS and (folder / _TOKENIZER_FILE).is_file():
        num_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        yield Found(folder, "tokenizer", description="UMT5 tokenizer", num_bytes=num_bytes)
    if depth > 0:
        for inner in _folders_in(folder):
            yield from _tokenizers_in(inner, depth - 1)


def _examined(path: Path) -> Found:
    try:
        if path.suffix in TORCH_SUFFIXES:
            _refuse_unmapped(path)
        with open_checkpoint(path) as checkpoint:
            return _described(path, checkpoint)
    except CheckpointError as error:
        return Found(path, None, description="cannot be read", num_bytes=path.stat().st_size, problems=(str(error),))


def _refuse_unmapped(path: Path) -> None:
    from inferix_wan.checkpoints.torch_file import is_archive  # loads torch, which safetensors do without

    if not is_archive(path):
        raise CheckpointError(
            f"'{path}' has the format of torch before 1.6 or is damaged, and would have to be read whole to be looked "
            "at. Save it anew with torch.save."
        )


def _described(path: Path, checkpoint: Checkpoint) -> Found:
    tensors = checkpoint.tensors
    kind = recognised({name: value.shape for name, value in tensors.items()})
    dtypes = Counter(value.dtype for value in tensors.values())
    return Found(
        path,
        None if kind is None else kind.part,
        None if kind is None else kind.network,
        "no part of a Wan model" if kind is None else kind.label,
        len(checkpoint.files),
        sum(file.stat().st_size for file in checkpoint.files),
        len(tensors),
        tuple(dtype for dtype, _ in dtypes.most_common()),
        checkpoint.state_dict,
        checkpoint.state_dicts,
        () if kind is None else tuple(_problems(kind, tensors)),
    )


def _problems(kind: Kind, tensors: Mapping[str, LazyTensor]) -> list[str]:
    """What differs from the official network of that kind. Those of other sizes are not known well enough."""
    if kind.network is None:
        return []
    read = {name: value for name, value in tensors.items() if not name.startswith(UNREAD)}
    return differences(NETWORKS[kind.network](), read)
