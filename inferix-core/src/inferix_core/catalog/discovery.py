"""From entry points to plugin records: one guarded plugin at a time, and no failure leaves here."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import inferix_core
from inferix_core.catalog.hooks import FaultyPluginError, OtherApiError, read_specs
from inferix_core.catalog.records import Component, PluginRecord, State
from inferix_core.catalog.selection import CORE_DISTRIBUTION, Selection
from inferix_core.catalog.snapshot import Candidate, core_mismatch
from inferix_core.specs import Kind

TENSOR_LIBRARY = "torch"


@dataclass(frozen=True, slots=True)
class Discovery:
    """The record of every plugin, and the imported plugins by qualified name."""

    records: tuple[PluginRecord, ...]
    plugins: Mapping[str, object]


def discover(candidates: Iterable[Candidate], selection: Selection) -> Discovery:
    """Imports the plugins that may be used and records how each fared. Never raises."""
    records: list[PluginRecord] = []
    plugins: dict[str, object] = {}
    for candidate in candidates:
        record, plugin = _admit(candidate, selection)
        records.append(record)
        if plugin is not None:
            plugins[record.qualified_name] = plugin
    selection.warn_of_unmatched((record.name, record.distribution) for record in records)
    return Discovery(records=tuple(_with_conflicts(records)), plugins=plugins)


def _admit(candidate: Candidate, selection: Selection) -> tuple[PluginRecord, object | None]:
    def refused(state: State, reason: str) -> tuple[PluginRecord, None]:
        return replace(record, state=state, reason=reason), None

    record = PluginRecord(candidate.name, candidate.distribution, candidate.version, State.READY)
    if refusal := selection.refusal(candidate.name, candidate.distribution):
        return refused(State.DISABLED, refusal)
    is_core = candidate.distribution == CORE_DISTRIBUTION
    if not is_core and (mismatch := core_mismatch(candidate, inferix_core.__version__)):
        return refused(State.INCOMPATIBLE, f"{mismatch}. Try: pip install --upgrade {candidate.distribution}.")
    was_loaded = TENSOR_LIBRARY in sys.modules
    try:
        plugin = candidate.load()
        specs = read_specs(plugin, record.qualified_name)
    except OtherApiError as error:
        return refused(State.INCOMPATIBLE, str(error))
    except FaultyPluginError as error:
        return refused(State.BROKEN, f"{error} Report it to the authors of {candidate.distribution}.")
    except ModuleNotFoundError as error:
        return refused(State.BROKEN, _missing_module(candidate, error))
    except (Exception, SystemExit) as error:  # foreign code at import: whatever it raises must not harm the others
        return refused(
            State.BROKEN,
            f"Importing '{candidate.target}' raised {type(error).__name__}: {error}. "
            f"Reinstall {candidate.distribution} or disable it with --without {candidate.name}.",
        )
    if not was_loaded and TENSOR_LIBRARY in sys.modules:
        return refused(
            State.BROKEN,
            f"Describing it loads {TENSOR_LIBRARY}, which makes every command slow. Import it in the module of the "
            f"implementation alone, or disable the plugin with --without {candidate.name}. "
            f"Report it to the authors of {candidate.distribution}.",
        )
    components = tuple(
        Component(kind, spec, candidate.name, candidate.distribution, candidate.version) for kind, spec in specs
    )
    return replace(record, components=components), plugin


def _missing_module(candidate: Candidate, error: ModuleNotFoundError) -> str:
    return (
        f"Importing '{candidate.target}' needs the module '{error.name}', which is not installed. Install "
        f"{candidate.distribution} with all that it requires: pip install {candidate.distribution}; "
        f"or disable it with --without {candidate.name}."
    )


def _with_conflicts(records: list[PluginRecord]) -> list[PluginRecord]:
    """The records again, where those that share a name are conflicting and say with whom."""
    plugins: dict[str, list[PluginRecord]] = defaultdict(list)
    components: dict[tuple[Kind, str], list[Component]] = defaultdict(list)
    for record in records:
        if record.is_usable:
            plugins[record.name].append(record)
            for component in record.components:
                components[component.kind, component.name].append(component)

    def reasons(record: PluginRecord) -> list[str]:
        found = []
        if len(same := plugins[record.name]) > 1:
            names = " and ".join(f"'{other.qualified_name}'" for other in same)
            found.append(f"Two plugins are called '{record.name}': {names}; disable one to be clear.")
        for component in record.components:
            if len(others := components[component.kind, component.name]) > 1:
                names = " and ".join(f"'{other.qualified_name}'" for other in others)
                found.append(f"The {component.kind.noun} '{component.name}' is offered as {names}; name one in full.")
        return found

    return [
        replace(record, state=State.CONFLICTING, reason=" ".join(why))
        if record.is_usable and (why := reasons(record))
        else record
        for record in records
    ]
