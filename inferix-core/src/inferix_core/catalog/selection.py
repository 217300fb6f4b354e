"""Which installed plugins may be used: the allowlist and the disabled names, from arguments and environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from loguru import logger

from inferix_core.errors import nearest

ALLOWLIST_VARIABLE = "INFERIX_PLUGINS"
DISABLED_VARIABLE = "INFERIX_DISABLE_PLUGINS"
CORE_DISTRIBUTION = "inferix-core"


@dataclass(frozen=True, slots=True)
class Selection:
    """Names of plugins, each a plugin, a distribution, or `distribution:plugin`.

    Where `allowed` is None every plugin may be used. `disabled` maps each name to where it was
    given, so that the reason can say it.
    """

    allowed: frozenset[str] | None
    allowed_by: str
    disabled: Mapping[str, str]

    def refusal(self, plugin: str, distribution: str) -> str:
        """Why a plugin must not be used and what to do, or an empty string.

        The core's own defaults need no place in the allowlist; they can be disabled by name.
        """
        answers = names_of(plugin, distribution)
        for name, source in self.disabled.items():
            if name in answers:
                return f"'{name}' is disabled by {source}. Take it out there to use the plugin."
        if self.allowed is not None and distribution != CORE_DISTRIBUTION and not answers & self.allowed:
            return f"It is not in the allowlist of {self.allowed_by}. Add '{plugin}' there to use the plugin."
        return ""

    def unmatched(self, installed: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Every name that no installed (plugin, distribution) answers to: where it was given, and the complaint."""
        known: set[str] = set()
        for plugin, distribution in installed:
            known |= names_of(plugin, distribution)
        given = [(name, self.allowed_by) for name in sorted(self.allowed or ())] + list(self.disabled.items())
        for name, source in given:
            if name not in known:
                yield source, f"{source} names '{name}', which is not installed.{nearest(name, known)}"

    def warn_of_unmatched(self, installed: Iterable[tuple[str, str]]) -> None:
        """Warns of every name that no installed (plugin, distribution) answers to."""
        for _, complaint in self.unmatched(installed):
            logger.warning(complaint)


def names_of(plugin: str, distribution: str) -> set[str]:
    """The names that a plugin answers to."""
    return {plugin, distribution, f"{distribution}:{plugin}"}


def read_selection(*, only: Iterable[str] | None, without: Iterable[str]) -> Selection:
    """The arguments merged with the environment: `only` replaces the allowlist, `without` adds to the disabled.

    A variable that is set but empty counts as not set.
    """
    disabled = dict.fromkeys(_listed(DISABLED_VARIABLE), DISABLED_VARIABLE)
    disabled |= dict.fromkeys(without, "--without")
    if only is not None:
        return Selection(allowed=frozenset(only), allowed_by="`only`", disabled=disabled)
    allowed = _listed(ALLOWLIST_VARIABLE)
    return Selection(allowed=frozenset(allowed) if allowed else None, allowed_by=ALLOWLIST_VARIABLE, disabled=disabled)


def _listed(variable: str) -> list[str]:
    """The comma-separated names in an environment variable."""
    return [name for part in os.environ.get(variable, "").split(",") if (name := part.strip())]
