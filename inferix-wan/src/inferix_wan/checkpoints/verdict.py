"""Whether what was found is enough for a model, and what is missing; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferix_wan.checkpoints.sources import DECODERS, RELEASES, Component, Release, Source, releases_of
from inferix_wan.checkpoints.survey import Found, survey


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a release lacks; nothing where it is complete."""

    name: str
    release: Release
    missing: tuple[Component, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the release can be run from what was found."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Checked:
    """What lies at a path, and what that means: one verdict for each release of the `model` that was asked about, or
    for those that are near to complete if none was.
    """

    path: Path
    model: str | None
    found: Sequence[Found]
    verdicts: Sequence[Verdict]
    is_one_part: bool

    @property
    def is_complete(self) -> bool:
        """Whether a model can be run from it; for a file, whether it is a whole part of one."""
        return any(verdict.is_complete for verdict in self.verdicts)

    @property
    def is_ambiguous(self) -> bool:
        """Whether a causal generator was asked for and a transformer found that may be one, or may not."""
        wants_generator = any("transformer" in verdict.missing for verdict in self.verdicts)
        return wants_generator and any(
            each.network == "t2v-1.3B" and each.state_dict is None and not each.problems for each in self.found
        )


def check(path: Path, *, model: str | None = None) -> Checked:
    """What lies at a path and what is missing for a model, or for those nearest to complete if none is named.

    Of a file only the part that it is is judged.
    Raises `ConfigError` for a model that is not known, `CheckpointError` for a path that is not there.
    """
    found = survey(path)
    releases = RELEASES if model is None else releases_of(model)
    if model is None and {each.part for each in found} == {"tiny_vae"}:
        releases = DECODERS
    verdicts = [_verdict(name, release, found, path=path) for name, release in releases.items()]
    if model is None:
        verdicts = _nearest(verdicts, found)
    elif not any(verdict.is_complete for verdict in verdicts):
        fewest = min(len(verdict.missing) for verdict in verdicts)
        verdicts = [verdict for verdict in verdicts if len(verdict.missing) == fewest]
    return Checked(path, model, found, verdicts, is_one_part=path.is_file())


def sources_of(missing: Sequence[Component], release: Release) -> Mapping[Component, Source | None]:
    """Where each missing part comes from; None for one without an official file."""
    by_part = {source.part: source for source in release.sources}
    return {part: by_part.get(part) for part in missing}


def _verdict(name: str, release: Release, found: Sequence[Found], *, path: Path) -> Verdict:
    parts = release.parts
    if path.is_file():
        parts = tuple({each.part for each in found if each.part in parts}) or release.parts[:1]
    missing = [part for part in parts if not any(each.part == part and each.fits(release) for each in found)]
    return Verdict(name, release, tuple(missing))


def _nearest(verdicts: Sequence[Verdict], found: Sequence[Found]) -> list[Verdict]:
    complete = [verdict for verdict in verdicts if verdict.is_complete]
    if complete:
        return complete
    begun = [verdict for verdict in verdicts if any(each.fits(verdict.release) for each in found)]
    with_transformer = [verdict for verdict in begun if "transformer" not in verdict.missing]
    return with_transformer or begun
