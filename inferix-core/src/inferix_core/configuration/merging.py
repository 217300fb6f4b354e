"""Laying one configuration over another: presets under what the user says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferix_core.configuration.skeleton import SECTIONS
from inferix_core.specs import Kind

CORE_DEFAULTS: Mapping[str, Any] = {
    "attention": {"use": "sdpa"},
    "kv": {"store": {"use": "dense"}, "policy": {"use": "full"}},
}
"""What holds where neither the model nor the user says otherwise."""

_TABLES = set(SECTIONS.values())
_GROUPS = {path[0] for path in SECTIONS.values() if len(path) > 1}


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """`upper` laid over `lower`, neither changed.

    A component's table, and tables in it, are merged key by key, unless the upper one names another component: then the
    lower one's keys are not meant for it and are dropped. Anything else is replaced.
    """
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            if (key,) in _TABLES:
                value = _merge_table(below, value)
            elif key in _GROUPS:
                value = _merge_group(below, value)
        result[key] = value
    return result


def names_same(one: object, other: object) -> bool:
    """Whether two values of `use` can mean the same component, one qualified and the other not."""
    if one == other:
        return True
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    if ":" in one and ":" in other:
        return False
    return one.rpartition(":")[2] == other.rpartition(":")[2]


def section_of(raw: Mapping[str, Any], kind: Kind) -> Any:
    """What stands at the table of a kind, a mapping or not; an empty mapping if nothing does."""
    found: Any = raw
    for key in SECTIONS[kind]:
        found = found.get(key, {}) if isinstance(found, Mapping) else {}
    return found


def _merge_group(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        both_tables = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = _merge_table(below, value) if both_tables else value  # type: ignore[arg-type]
    return result


def _merge_table(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    if "use" in upper and "use" in lower and not names_same(lower["use"], upper["use"]):
        return dict(upper)
    result = {**lower, **upper}
    for key, value in upper.items():
        below = lower.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = _merge_table(below, value)
    return result
