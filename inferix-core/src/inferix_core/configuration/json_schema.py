"""One JSON schema for everything that is installed, for editors and for `inferix schema`."""

from __future__ import annotations

from typing import Any

from loguru import logger

from inferix_core.catalog import Catalog, Component
from inferix_core.configuration.skeleton import PROFILERS, SECTIONS, RunConfig
from inferix_core.specs import Kind, ModelSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(catalog: Catalog) -> dict[str, Any]:
    """The JSON schema of a configuration file, in which each component's table is told apart by `use`.

    No key is required: what a file leaves out may come from the model's preset.
    """
    result = RunConfig.model_json_schema()
    models = result["$defs"]
    definitions: dict[str, Any] = {}
    tables = {kind: _table(kind, catalog, definitions) for kind in (*SECTIONS, Kind.PROFILER)}
    properties = result["properties"]
    for name, model in (("kv", "KVSection"), ("world", "WorldSection"), ("ranks", "RanksSection")):
        properties[name] = {**models[model], "description": properties[name]["description"]}
    for kind, path in SECTIONS.items():
        of_section = properties["kv"]["properties"] if len(path) == 2 else properties
        of_section[path[-1]] = {"description": of_section[path[-1]]["description"], **tables[kind]}
    properties[PROFILERS] = {
        "description": properties[PROFILERS]["description"],
        "type": "array",
        "items": tables[Kind.PROFILER],
    }
    return {"$schema": DIALECT, **result, "title": "Inferix configuration", "$defs": definitions}


def _table(kind: Kind, catalog: Catalog, definitions: dict[str, Any]) -> dict[str, Any]:
    components = catalog.components(kind)
    names = [component.name for component in components]
    references = []
    for component in components:
        key = f"{kind.slug}.{component.qualified_name}"
        accepted = [component.qualified_name]
        if names.count(component.name) == 1:
            accepted.insert(0, component.name)
        try:
            definitions[key] = _definition(component, accepted, key, definitions)
        except Exception as error:  # foreign types: one that pydantic cannot describe must not cost the whole schema
            logger.warning(
                f"The {kind.noun} '{component.qualified_name}' is left out of the schema: {type(error).__name__}. "
                "See `inferix plugins list`."
            )
            continue
        references.append({"$ref": f"#/$defs/{key}"})
    return {"anyOf": references} if references else {"type": "object", "maxProperties": 0}


def _definition(component: Component, accepted: list[str], key: str, definitions: dict[str, Any]) -> dict[str, Any]:
    own = component.spec.config.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}")
    for name, nested in own.pop("$defs", {}).items():
        definitions[f"{key}.{name}"] = nested
    own.pop("required", None)
    use = {"enum": accepted, "description": f"Chooses the {component.kind.noun} '{component.name}'."}
    properties = {"use": use, **own.get("properties", {})}
    if isinstance(component.spec, ModelSpec) and component.spec.presets:
        properties["preset"] = {"enum": list(component.spec.presets), "description": "One of the model's presets."}
    return {**own, "title": component.name, "description": component.spec.summary, "properties": properties}
