"""What is wrong with a checkpoint, said before anything of it is read; free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferix_core.checkpoints.family import ACCEPTED_DTYPES, Family, Kind
from inferix_core.checkpoints.tensors import LazyTensor, Shape

_NUM_NAMED = 5


def differences(
    expected: Mapping[str, Shape], found: Mapping[str, LazyTensor], *, accepted_dtypes: Sequence[str] = ACCEPTED_DTYPES
) -> list[str]:
    """What keeps the tensors from being loaded: names missing or unexpected, shapes, dtypes. Empty if they fit."""
    problems = []
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    common = [name for name in expected if name in found]
    if missing:
        problems.append(_problem("missing", missing))
    if unexpected:
        problems.append(_problem("unexpected", unexpected))
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(expected[name])}"
        for name in common
        if tuple(found[name].shape) != tuple(expected[name])
    ]
    if shapes:
        problems.append(_problem("of another shape", shapes))
    dtypes = [f"{name} is {found[name].dtype}" for name in common if found[name].dtype not in accepted_dtypes]
    if dtypes:
        problems.append(f"{_problem('of another dtype', dtypes)}; accepted are {', '.join(accepted_dtypes)}")
    return problems


def mistaken_for(expected: Mapping[str, Shape], found: Mapping[str, LazyTensor], *, family: Family) -> str | None:
    """What the checkpoint is and what would fit, if it is one of another network; None if it is merely not whole."""
    wanted = family.recognised(expected)
    given = family.recognised({name: value.shape for name, value in found.items()})
    if wanted is None or given is None or wanted == given or not given.is_certain:
        return None
    num_fitting = sum(name in found and found[name].shape == shape for name, shape in expected.items())
    if (wanted.network is None or given.network is None) and 2 * num_fitting > len(expected):
        return None
    return f"It is {given.label}, but what is needed is {wanted.label}. {_advice(wanted, given, family)}"


def _advice(wanted: Kind, given: Kind, family: Family) -> str:
    if wanted.part != given.part:
        return f"Give the {_files(wanted.part, family)}."
    options = []
    fitting = [release for release in family.releases.values() if given.network in release.networks]
    if given.network is not None and fitting:
        models = sorted({release.model for release in fitting})
        settings = " or ".join(sorted({release.setting for release in fitting} - {""}))
        options.append(f"use it with {' or '.join(models)}{', ' if settings else ''}{settings}")
    sources = sorted(
        {
            source.repository
            for release in family.releases.values()
            for source in release.sources
            if source.part == wanted.part and wanted.network in release.networks
        }
    )
    if wanted.network is not None and sources:
        options.append(f"give the files of {' or '.join(sources)}")
    if not options:
        return "Check that the configured size is that of the checkpoint."
    advice = ", or ".join(options)
    return f"{advice[0].upper()}{advice[1:]}."


def _files(part: str, family: Family) -> str:
    names = [place for place in family.places.get(part, ()) if "." in place] or [part]
    return f"{part.replace('_', ' ')}: {' or '.join(names)}"


def _problem(what: str, details: Sequence[str]) -> str:
    more = f"; and {len(details) - _NUM_NAMED} more" if len(details) > _NUM_NAMED else ""
    return f"{len(details)} {what}: {'; '.join(details[:_NUM_NAMED])}{more}"
