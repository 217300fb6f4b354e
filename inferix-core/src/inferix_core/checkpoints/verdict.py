"""Whether what was found is enough for a model, and what is missing; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferix_core.checkpoints.family import TRANSFORMER, Family, Release, Source
from inferix_core.checkpoints.releases import Known, all_decoders, all_releases, releases_of
from inferix_core.checkpoints.survey import Found, survey


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a release lacks; nothing where it is complete."""

    name: str
    release: Release
    family: Family
    missing: tuple[str, ...]

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
    def ambiguity(self) -> str:
        """What to say where a release wants a trainer's transformer and a bare one was found; else empty."""
        for verdict in self.verdicts:
            lacks = TRANSFORMER in verdict.missing and verdict.release.from_trainer
            if lacks and any(_is_bare(each, verdict.release) for each in self.found):
                return verdict.family.ambiguity
        return ""


def check(path: Path, *, families: Sequence[Family], model: str | None = None) -> Checked:
    """What lies at a path and what is missing for a model, or for those nearest to complete if none is named.

    Of a file only the part that it is is judged.
    Raises `ConfigError` for a model that is not known, `CheckpointError` for a path that is not there.
    """
    found = survey(path, families=families)
    releases = _releases_for(found, families) if model is None else releases_of(model, families)
    verdicts = [_verdict(name, release, family, found, path=path) for name, release, family in releases]
    if model is None:
        verdicts = _nearest(verdicts, found)
    elif not any(verdict.is_complete for verdict in verdicts):
        fewest = min(len(verdict.missing) for verdict in verdicts)
        verdicts = [verdict for verdict in verdicts if len(verdict.missing) == fewest]
    return Checked(path, model, found, verdicts, is_one_part=path.is_file())


def sources_of(missing: Sequence[str], release: Release) -> Mapping[str, Source | None]:
    """Where each missing part comes from; None for one without an official file."""
    by_part = {source.part: source for source in release.sources}
    return {part: by_part.get(part) for part in missing}


def _verdict(name: str, release: Release, family: Family, found: Sequence[Found], *, path: Path) -> Verdict:
    parts = release.parts
    if path.is_file():
        parts = tuple({each.part for each in found if each.part in parts and each.part is not None}) or parts[:1]
    missing = [part for part in parts if not any(each.part == part and each.fits(release, family) for each in found)]
    return Verdict(name, release, family, tuple(missing))


def _releases_for(found: Sequence[Found], families: Sequence[Family]) -> list[Known]:
    """The decoders that all of what was found belongs to; where there are none, the releases of every model."""
    parts = {each.part for each in found}
    decoders = [each for each in all_decoders(families) if parts == {*each[1].parts}]
    return decoders or all_releases(families)


def _is_bare(found: Found, release: Release) -> bool:
    """Whether it has the tensors of the release's transformer, without a trainer's table around them."""
    is_one = found.part == TRANSFORMER and found.network in release.networks
    return is_one and found.state_dict is None and not found.problems


def _nearest(verdicts: Sequence[Verdict], found: Sequence[Found]) -> list[Verdict]:
    complete = [verdict for verdict in verdicts if verdict.is_complete]
    if complete:
        return complete
    begun = [verdict for verdict in verdicts if any(each.fits(verdict.release, verdict.family) for each in found)]
    with_transformer = [verdict for verdict in begun if TRANSFORMER not in verdict.missing]
    return with_transformer or begun
