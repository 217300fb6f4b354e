"""The entry points of the group `inferix`, read once. Nothing of a plugin is imported here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import importlib_metadata
from loguru import logger
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

GROUP = "inferix"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry point: where it points, and what its distribution requires of the core."""

    name: str
    target: str
    distribution: str
    version: str
    requires: tuple[str, ...]
    load: Callable[[], Any]


def read_candidates() -> tuple[Candidate, ...]:
    """Every entry point of the group, ordered by distribution and name; never raises.

    Of two copies of a distribution on the path the first counts, as it does for `import`.
    """
    candidates: dict[str, list[Candidate]] = {}
    for distribution in importlib_metadata.distributions():
        try:
            found = _candidates_of(distribution)
        except Exception as error:  # metadata are foreign files: whatever is wrong with one must not harm the others
            logger.warning(f"The metadata of an installed distribution cannot be read ({error}); it is left out.")
            continue
        if found:
            candidates.setdefault(found[0].distribution, found)
    flat = [candidate for found in candidates.values() for candidate in found]
    return tuple(sorted(flat, key=lambda candidate: (candidate.distribution, candidate.name)))


def _candidates_of(distribution: Any) -> list[Candidate]:
    # The name and version are read only where there is something of ours: reading them parses a whole file.
    entry_points = distribution.entry_points.select(group=GROUP)
    if not entry_points:
        return []
    name = canonicalize_name(distribution.metadata["Name"])
    return [
        Candidate(
            name=entry_point.name,
            target=entry_point.value,
            distribution=name,
            version=distribution.version,
            requires=tuple(distribution.requires or ()),
            load=entry_point.load,
        )
        for entry_point in entry_points
    ]


def core_mismatch(candidate: Candidate, core_version: str) -> str:
    """What the candidate requires of inferix-core that `core_version` does not meet, or an empty string."""
    for line in candidate.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            if "inferix" in line.lower():
                return f"Its requirement '{line}' cannot be read"
            continue
        if canonicalize_name(requirement.name) != "inferix-core":
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(core_version, prereleases=True):
            return f"It requires inferix-core {requirement.specifier}, and {core_version} is installed"
    return ""
