"""The official files of a model into a folder; free of torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from inferix_core.checkpoints.family import Family, Release, Source
from inferix_core.checkpoints.github import GitHub
from inferix_core.checkpoints.hub import Hub, HubError, HuggingFaceHub
from inferix_core.checkpoints.releases import releases_of
from inferix_core.errors import ConfigError, OutputError

_GIGABYTE = 1e9


def fetch(
    model: str, *, families: Sequence[Family], into: Path, hub: Hub, revision: str | None = None
) -> Iterator[str]:
    """Fetches what a model or a decoder of its own needs and no other files, and says what it does, line by line.

    `hub` is `hub_of(model, families=families)`, or another. `revision` is that of the transformer's or the decoder's
    repository. Nothing is fetched unless all of it has room. What is there already, whole, is not fetched again.

    Raises `ConfigError` for a model that is not known, has several sizes or no official files, or for a revision that
    is not there; `OutputError` if the disk is too small; `HubError`, with what to fetch by hand, if the hub is not
    within reach.
    """
    name, release = _release(model, families)
    own = next(source.repository for source in release.sources if source.part == release.parts[0])
    try:
        repositories = {source.repository: revision if source.repository == own else None for source in release.sources}
        listed = {each: hub.sizes(each, revision=at) for each, at in repositories.items()}
        sizes = {source: _matching(listed[source.repository], source) for source in release.sources}
        num_missing = _check_room(into, sizes.values())
        num_all = sum(sum(files.values()) for files in sizes.values())
        yield f"{name} takes {_gigabytes(num_all)}, of which {_gigabytes(num_missing)} are to come."
        for source, files in sizes.items():
            yield f"{source.part.replace('_', ' ')} from {source.repository}, licence: {source.licence}"
            hub.download(source.repository, list(files), into=into, revision=repositories[source.repository])
    except HubError as error:
        raise HubError(f"{error} {by_hand(name, release, into=into)}") from error
    yield f"All of {name} is in '{into}'. Check it: inferix weights check {into} --model {name}"


def hub_of(model: str, *, families: Sequence[Family]) -> Hub:
    """Where the files of a model lie. Raises `ConfigError` for one that is not known."""
    hosts = {source.host for _, release, _ in releases_of(model, families) for source in release.sources}
    return GitHub() if hosts == {"github.com"} else HuggingFaceHub()


def by_hand(name: str, release: Release, *, into: Path) -> str:
    """What to fetch on another machine and where to put it."""
    lines = [f"  {', '.join(source.patterns)} from {source.address}" for source in release.sources]
    return "\n".join(
        [
            f"Fetch these files for {name} where there is a network and put them into '{into}' under the same names:",
            *lines,
        ]
    )


def _release(model: str, families: Sequence[Family]) -> tuple[str, Release]:
    releases = releases_of(model, families)
    if len(releases) > 1:
        raise ConfigError(f"'{model}' comes in several sizes: name one of {', '.join(each[0] for each in releases)}.")
    name, release, _ = releases[0]
    if not any(source.part == release.parts[0] for source in release.sources):
        raise ConfigError(
            f"No official file of the transformer of '{name}' is known. Train or convert one; the other parts come "
            f"from {' and '.join(sorted({source.repository for source in release.sources}))}."
        )
    return name, release


def _matching(sizes: Mapping[str, int], source: Source) -> dict[str, int]:
    found = {name: size for name, size in sizes.items() if source.matches(name)}
    if not found:
        raise ConfigError(
            f"'{source.repository}' has no {' or '.join(source.patterns)}, but {', '.join([*sizes][:8]) or 'nothing'}. "
            "Choose another revision, or fetch the files by hand."
        )
    return found


def _check_room(into: Path, sizes: Iterable[Mapping[str, int]]) -> int:
    """Bytes that are still to come. Raises `OutputError` if there is no room for them."""
    missing = 0
    for files in sizes:
        for name, size in files.items():
            path = into / name
            missing += 0 if path.is_file() and path.stat().st_size == size else size
    existing = next(folder for folder in (into, *into.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if missing > free:
        raise OutputError(
            f"'{into}' has room for {_gigabytes(free)}, but {_gigabytes(missing)} are to come. "
            "Make room, or choose another folder with --into."
        )
    return missing


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / _GIGABYTE:.1f} GB"
