"""All findings, in the order in which a reader would mend them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inferix_core.catalog.catalog import Catalog
from inferix_core.catalog.diagnosis import distributions, kernels, tensor_library
from inferix_core.catalog.diagnosis.finding import Finding
from inferix_core.catalog.records import State
from inferix_core.catalog.selection import read_selection


def diagnose(catalog: Catalog) -> tuple[Finding, ...]:
    """What is wrong or worth knowing. Loads the tensor library, and asks every attention backend; never raises."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _plugins(catalog),
        lambda: _selection(catalog),
        distributions.shadowed,
        distributions.stale,
        tensor_library.findings,
        lambda: kernels.findings(catalog),
        distributions.incomplete_extras,
    )
    return tuple(finding for look in looks for finding in _guarded(look))


def _guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:  # foreign metadata and libraries: one that cannot be read must not hide the others
        yield Finding("doctor", f"A check could not be made: {type(error).__name__}: {error}", is_problem=True)


def _plugins(catalog: Catalog) -> Iterator[Finding]:
    for record in catalog.examined():
        if record.state is not State.READY:
            is_problem = record.state is not State.DISABLED
            yield Finding(record.qualified_name, f"{record.state.value}: {record.reason}", is_problem)


def _selection(catalog: Catalog) -> Iterator[Finding]:
    """Names in the environment that nothing answers to."""
    selection = read_selection(only=None, without=())
    for source, message in selection.unmatched((record.name, record.distribution) for record in catalog.plugins):
        yield Finding(source, message, is_problem=True)
