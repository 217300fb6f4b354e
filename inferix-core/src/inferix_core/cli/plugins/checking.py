"""`inferix plugins check`: whether an installed plugin keeps the rules of plugins."""

from __future__ import annotations

from typing import Annotated

import importlib_metadata
import typer

from inferix_core.catalog.snapshot import GROUP, Candidate, read_candidates
from inferix_core.errors import UnknownPluginError, nearest


def check(
    name: Annotated[str, typer.Argument(help="A plugin, its distribution, or distribution:name.")],
) -> None:
    """Check what an installed plugin says of itself: metadata, hooks, specs. Ends with 1 where a rule is broken.

    How its components behave is tested by the suites of inferix_core.testing.
    """
    from inferix_core.catalog.conformance import RULES, Subject

    num_broken = 0
    for candidate in _named(name):
        subject = Subject(candidate.target.partition(":")[0].strip(), candidate.distribution)
        typer.echo(f"{candidate.distribution}:{candidate.name} {candidate.version}")
        for sentence, look in RULES.items():
            try:
                fault = look(subject)
            except (Exception, SystemExit) as error:  # foreign code, imported and asked
                fault = f"{type(error).__name__}: {error}"
            num_broken += bool(fault)
            typer.echo(f"  {'no ' if fault else 'yes'} {sentence}" + (f": {fault}" if fault else ""))
    if num_broken:
        raise typer.Exit(1)


def _named(name: str) -> list[Candidate]:
    """The entry points that answer to a name, whether or not their plugins can be used."""
    candidates = read_candidates()
    answers = {
        candidate: (candidate.name, candidate.distribution, f"{candidate.distribution}:{candidate.name}")
        for candidate in candidates
    }
    found = [candidate for candidate, names in answers.items() if name in names]
    if not found and _is_installed(name):
        raise UnknownPluginError(
            f"The distribution '{name}' is installed and holds no plugin: it has no entry point in the group "
            f"'{GROUP}'. If it is your own, add one to its pyproject.toml and install it again."
        )
    if not found:
        known = sorted({one for names in answers.values() for one in names[:2]})
        raise UnknownPluginError(f"No plugin is called '{name}'.{nearest(name, known)} Installed: {', '.join(known)}.")
    return found


def _is_installed(name: str) -> bool:
    try:
        importlib_metadata.distribution(name)
    except (importlib_metadata.PackageNotFoundError, ValueError):  # an empty name is none
        return False
    return True
