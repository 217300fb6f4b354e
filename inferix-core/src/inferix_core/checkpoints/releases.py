"""The releases of all families that are installed, by name; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.checkpoints.family import Family, Release
from inferix_core.errors import ConfigError, nearest

Known = tuple[str, Release, Family]
"""A release's name, the release, and the family that it belongs to."""


def all_releases(families: Sequence[Family]) -> list[Known]:
    """Every release of the families."""
    return [(name, release, family) for family in families for name, release in family.releases.items()]


def all_decoders(families: Sequence[Family]) -> list[Known]:
    """The same of decoders that are to be had for themselves."""
    return [(name, release, family) for family in families for name, release in family.decoders.items()]


def releases_of(name: str, families: Sequence[Family]) -> list[Known]:
    """The releases that a release's, a model's or a decoder's name stands for. Raises `ConfigError` for any other."""
    known = [*all_releases(families), *all_decoders(families)]
    exact = [each for each in known if each[0] == name]
    found = exact or [each for each in known if each[1].model == name]
    if not found:
        names = sorted({*(each[0] for each in known), *(each[1].model for each in known)})
        raise ConfigError(
            f"There are no weights for a model '{name}'.{nearest(name, names)} Known: {', '.join(names) or 'none'}."
        )
    return found
