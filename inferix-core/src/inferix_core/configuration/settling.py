"""What a bare name means in a preset or default when a stranger brings a component of the same name.

A user's own bare name is an error then. A preset was written before the stranger came and must go on working.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferix_core import known
from inferix_core.catalog import Catalog
from inferix_core.catalog.selection import CORE_DISTRIBUTION
from inferix_core.configuration.merging import merge, section_of
from inferix_core.configuration.skeleton import SECTIONS
from inferix_core.specs import Kind


def settled(tables: Mapping[str, Any], catalog: Catalog, *, own: str) -> Mapping[str, Any]:
    """`tables` in which names that several components have are qualified.

    Such a name means the component of `own`, the distribution that the tables come from, else that of the official
    distribution which brings the name, else the core's; if none of them has it, it stays as it is.
    """
    result = tables
    for kind, path in SECTIONS.items():
        table = section_of(tables, kind)
        name = table.get("use") if isinstance(table, Mapping) else None
        if isinstance(name, str) and (qualified := _qualified(kind, name, catalog, own)):
            changed: Mapping[str, Any] = {**table, "use": qualified}
            for key in reversed(path):
                changed = {key: changed}
            result = merge(result, changed)
    return result


def _qualified(kind: Kind, name: str, catalog: Catalog, own: str) -> str:
    matches = {one.distribution: one.qualified_name for one in catalog.components(kind) if one.name == name}
    if len(matches) < 2:
        return ""
    meant = (own, known.distribution_of(kind, name), CORE_DISTRIBUTION)
    return next((matches[one] for one in meant if one in matches), "")
