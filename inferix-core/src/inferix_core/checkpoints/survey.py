"""What a file or folder holds: every checkpoint in it, what it is, and what is wrong with it; free of torch itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferix_core.checkpoints.diagnosis import differences
from inferix_core.checkpoints.family import TOKENIZER, TRANSFORMER, Family, Kind, Release, Tokenizer
from inferix_core.checkpoints.files import (
    INDEX_SUFFIXES,
    SAFETENSORS_SUFFIX,
    TORCH_SUFFIXES,
    files_of,
    shards_beside,
)
from inferix_core.checkpoints.opening import Checkpoint, open_checkpoint
from inferix_core.checkpoints.tensors import LazyTensor
from inferix_core.errors import CheckpointError

_MAX_DEPTH = 5
_GENERATORS = ("generator", "generator_ema")
"""The state dicts of trainers' files that are causal generators."""


@dataclass(frozen=True, slots=True)
class Found:
    """One checkpoint or tokenizer in a folder, and the family that it belongs to.

    `problems` are empty for one that can be loaded.
    """

    path: Path
    part: str | None
    family: Family | None = None
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
        if self.family is None:
            return ()
        if any(self.fits(decoder, self.family) for decoder in self.family.decoders.values()):
            return tuple(self.family.releases)
        return tuple(name for name, release in self.family.releases.items() if self.fits(release, self.family))

    def fits(self, release: Release, family: Family) -> bool:
        """Whether the release of a family can be run from it.

        A trainer's file holds a causal generator and a bare one a bidirectional transformer, though their tensors
        have the same names and shapes.
        """
        if self.problems or self.part not in release.parts or family is not self.family:
            return False
        if self.part == TOKENIZER:
            return True
        if self.network not in release.networks:
            return False
        is_generator = self.state_dict in _GENERATORS
        return self.part != TRANSFORMER or is_generator == release.from_trainer


def survey(path: Path, *, families: Sequence[Family]) -> list[Found]:
    """What lies at `path`, down to five folders deep. Names and shapes alone are read.

    Raises `CheckpointError` if there is nothing at `path`, or it is a file of no known kind.
    """
    if path.is_dir():
        checkpoints = [_examined(each, families) for each in _checkpoints_in(path, _MAX_DEPTH)]
        return [*checkpoints, *_tokenizers_in(path, families, _MAX_DEPTH)]
    files_of(path)
    return [_examined(path, families)]


def _folders_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _checkpoints_in(folder: Path, depth: int) -> Iterator[Path]:
    """Every index, every first shard of a set without one, every single file."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    indices = [path for path in files if path.name.endswith(INDEX_SUFFIXES)]
    claimed = {shard for index in indices for shard in _claimed_by(index)}
    yield from indices
    for path in files:
        if path not in claimed and (path.suffix == SAFETENSORS_SUFFIX or path.suffix in TORCH_SUFFIXES):
            claimed.update(_set_of(path))
            yield path
    if depth > 0:
        for inner in _folders_in(folder):
            yield from _checkpoints_in(inner, depth - 1)


def _claimed_by(index: Path) -> Sequence[Path]:
    try:
        return files_of(index)
    except CheckpointError:
        stem, suffix = index.name.removesuffix(".index.json").rsplit(".", 1)
        return sorted(index.parent.glob(f"{stem}-*.{suffix}"))


def _set_of(path: Path) -> Sequence[Path]:
    try:
        return shards_beside(path)
    except CheckpointError:
        return sorted(path.parent.glob(f"{path.name.rsplit('-', 3)[0]}-*-of-*{path.suffix}"))


def _tokenizers_in(folder: Path, families: Sequence[Family], depth: int) -> Iterator[Found]:
    for family in families:
        for tokenizer in family.tokenizers:
            if folder.name in tokenizer.folders and any((folder / name).is_file() for name in tokenizer.files):
                yield _tokenizer(folder, tokenizer, family)
    if depth > 0:
        for inner in _folders_in(folder):
            yield from _tokenizers_in(inner, families, depth - 1)


def _tokenizer(folder: Path, tokenizer: Tokenizer, family: Family) -> Found:
    files = [folder / name for name in tokenizer.files if (folder / name).is_file()]
    num_bytes = sum(path.stat().st_size for path in files)
    return Found(folder, TOKENIZER, family, description=tokenizer.label, num_bytes=num_bytes)


def _examined(path: Path, families: Sequence[Family]) -> Found:
    try:
        if path.suffix in TORCH_SUFFIXES:
            _refuse_unmapped(path)
        with open_checkpoint(path) as checkpoint:
            return _described(path, checkpoint, families)
    except CheckpointError as error:
        return Found(path, None, description="cannot be read", num_bytes=path.stat().st_size, problems=(str(error),))


def _refuse_unmapped(path: Path) -> None:
    from inferix_core.checkpoints.torch_file import is_archive  # loads torch, which safetensors do without

    if not is_archive(path):
        raise CheckpointError(
            f"'{path}' has the format of torch before 1.6 or is damaged, and would have to be read whole to be looked "
            "at. Save it anew with torch.save."
        )


def _described(path: Path, checkpoint: Checkpoint, families: Sequence[Family]) -> Found:
    kind, family, tensors = _recognised(checkpoint, families)
    dtypes = Counter(value.dtype for value in tensors.values())
    return Found(
        path,
        None if kind is None else kind.part,
        family,
        None if kind is None else kind.network,
        "no part of a known model" if kind is None else kind.label,
        len(checkpoint.files),
        sum(file.stat().st_size for file in checkpoint.files),
        len(tensors),
        tuple(dtype for dtype, _ in dtypes.most_common()),
        checkpoint.state_dict,
        checkpoint.state_dicts,
        () if kind is None or family is None else tuple(_problems(kind, tensors, family)),
    )


def _recognised(
    checkpoint: Checkpoint, families: Sequence[Family]
) -> tuple[Kind | None, Family | None, Mapping[str, LazyTensor]]:
    """What the first family that knows it says it is; a released network counts more than one of another size."""
    known = []
    for family in families:
        tensors = family.official(checkpoint.tensors)
        kind = family.recognised({name: value.shape for name, value in tensors.items()})
        if kind is not None:
            known.append((kind, family, tensors))
    released = [each for each in known if each[0].network is not None]
    return next(iter([*released, *known]), (None, None, checkpoint.tensors))


def _problems(kind: Kind, tensors: Mapping[str, LazyTensor], family: Family) -> list[str]:
    """What differs from the official network of that kind. Those of other sizes are not known well enough."""
    if kind.network is None:
        return []
    read = {name: value for name, value in tensors.items() if not name.startswith(family.unread)}
    return differences(family.networks[kind.network](), read, accepted_dtypes=family.dtypes)
