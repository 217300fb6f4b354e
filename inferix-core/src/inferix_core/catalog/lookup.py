"""Choosing a component by name, and what to say when that fails."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core import known
from inferix_core.catalog.records import Component, PluginRecord, State
from inferix_core.catalog.targets import target_kind
from inferix_core.errors import UnknownPluginError, nearest
from inferix_core.specs import Kind, StreamerSpec


def choose(kind: Kind, name: str, components: Sequence[Component], records: Sequence[PluginRecord]) -> Component:
    """The component of that bare or qualified name; raises `UnknownPluginError` if none or several answer to it."""
    matches = [component for component in components if name in (component.name, component.qualified_name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownPluginError(f"{_count(matches)} {kind.noun}s are called '{name}': {_qualified(matches)}.")
    raise UnknownPluginError(_unknown(kind, name, components, records))


def choose_streamer(target: str, components: Sequence[Component]) -> Component:
    """The streamer that writes to `target`; raises `UnknownPluginError` that names what is accepted."""
    if not target:
        raise UnknownPluginError("An empty output is neither a file nor a folder. Name one, e.g. -o world.npy.")
    wanted = target_kind(target)
    matches = [component for component in components if wanted in _targets(component)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UnknownPluginError(
            f"{_count(matches)} streamers write to {wanted}: "
            + " and ".join(f"'{component.qualified_name}'" for component in matches)
            + ". Leave one out with --without."
        )
    accepted = sorted({name for component in components for name in _targets(component)})
    distribution = known.distribution_of_target(wanted)
    raise UnknownPluginError(
        f"No installed streamer writes to {wanted} ('{target}'). Accepted: {', '.join(accepted) or 'nothing'}."
        + (f" For {wanted}: pip install {distribution}." if distribution else nearest(wanted, accepted))
    )


def _targets(component: Component) -> set[str]:
    spec = component.spec
    return {name.removesuffix("://").lower() for name in spec.targets} if isinstance(spec, StreamerSpec) else set()


def _unknown(kind: Kind, name: str, components: Sequence[Component], records: Sequence[PluginRecord]) -> str:
    installed = sorted({component.name for component in components})
    official = known.distribution_of(kind, name)
    sentences = [f"No {kind.noun} is called '{name}'."]
    offered = {*installed, *known.names_of(kind), *(component.qualified_name for component in components)} - {name}
    if suggestion := nearest(name, offered).strip():
        sentences.append(suggestion)
    sentences.append(f"Installed: {', '.join(installed) or 'none'}.")
    # A distribution that is there but cannot be used is the likelier cause than one that is missing.
    unusable = [record for record in records if not record.is_usable]
    named = [record for record in unusable if record.distribution in (official, name.partition(":")[0])]
    faulty = [record for record in unusable if record.state is not State.DISABLED]
    sentences += [
        f"'{record.name}' of {record.distribution} is {record.state.value}: {record.reason}"
        for record in named or (() if official else faulty)
    ]
    present = {record.distribution: record.version for record in records if record.is_usable}
    if official in present:
        sentences.append(f"{official} {present[official]} has none of that name; another version may.")
    elif not named:
        more = [official] if official else known.distributions_with_more(kind, set(installed))
        if absent := [distribution for distribution in more if distribution not in present]:
            sentences.append(f"More: pip install {' '.join(absent)}.")
    return " ".join(sentences)


def _count(matches: Sequence[Component]) -> str:
    return {2: "Two", 3: "Three"}.get(len(matches), str(len(matches)))


def _qualified(matches: Sequence[Component]) -> str:
    names = [f"'{component.qualified_name}'" for component in matches]
    if len(set(names)) < len(names):
        return f"{' and '.join(names)}, and nothing tells them apart. Disable one of their plugins"
    return f"{' and '.join(names)}. Use one of these full names"
