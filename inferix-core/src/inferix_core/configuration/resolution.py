"""From raw tables to chosen components with validated configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from inferix_core.catalog import Catalog, Component
from inferix_core.catalog.selection import CORE_DISTRIBUTION
from inferix_core.configuration.merging import CORE_DEFAULTS, merge, section_of
from inferix_core.configuration.problems import Problem, problems_of, raise_problems
from inferix_core.configuration.settling import settled
from inferix_core.configuration.skeleton import PROFILERS, SECTIONS, RunConfig, RunSettings
from inferix_core.errors import ConfigError, UnknownPluginError, nearest
from inferix_core.specs import ComponentConfig, Kind, ModelSpec

_SKELETON_KEYS = {Kind.MODEL: ("use", "preset")}


@dataclass(frozen=True, slots=True)
class Selected:
    """A chosen component and its validated configuration."""

    component: Component
    config: ComponentConfig


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """A configuration in which every name is a component and every key is checked.

    `run` holds what belongs to no component; `effective` is the whole as plain tables, presets included.
    """

    run: RunSettings
    selections: Mapping[Kind, Selected]
    profilers: tuple[Selected, ...]
    effective: Mapping[str, Any]
    installed: Mapping[Kind, tuple[str, ...]]

    def selected(self, kind: Kind) -> Selected | None:
        """The component chosen for a kind, None if there is none."""
        return self.selections.get(kind)

    def required(self, kind: Kind) -> Selected:
        """The component chosen for a kind. Raises `ConfigError` that lists what is installed if there is none."""
        if (selected := self.selections.get(kind)) is not None:
            return selected
        raise ConfigError(
            f"{'.'.join(SECTIONS[kind])}: no {kind.noun} is chosen, and the model '{self.model.name}' names none. "
            f'Choose one with use = "…". Installed: {", ".join(self.installed[kind]) or "none"}.'
        )

    @property
    def model(self) -> ModelSpec:
        """The spec of the chosen model."""
        spec = self.selections[Kind.MODEL].component.spec
        assert isinstance(spec, ModelSpec)
        return spec


def resolve(raw: Mapping[str, Any], catalog: Catalog) -> ResolvedConfig:
    """Chooses the components and validates their keys; the model's presets lie under what `raw` says.

    Raises one `ConfigError` that tells of every problem, each with its path and what would be accepted.
    """
    problems: list[Problem] = []
    model = _chosen_model(raw, catalog, problems)
    preset = _preset(raw, model, problems)
    if model is not None:
        preset = settled(preset, catalog, own=model.distribution)
    merged = merge(settled(CORE_DEFAULTS, catalog, own=CORE_DISTRIBUTION), preset)
    effective = merge(merge(merged, _expanded(merge(merged, raw), model, problems)), raw)
    if model is not None:
        effective["model"] = {**section_of(effective, Kind.MODEL), "use": model.qualified_name}

    run = _skeleton(effective, problems)
    selections: dict[Kind, Selected] = {}
    for kind in SECTIONS:
        table = section_of(effective, kind)
        if not isinstance(table, Mapping) or (kind is Kind.MODEL and model is None):
            continue
        selected = _selected(kind, table, ".".join(SECTIONS[kind]), catalog, problems)
        if selected is not None:
            selections[kind] = selected
    profilers = []
    listed = effective.get(PROFILERS, ())
    for index, table in enumerate(listed if isinstance(listed, list | tuple) else ()):
        if isinstance(table, Mapping):
            selected = _selected(Kind.PROFILER, table, f"{PROFILERS}.{index}", catalog, problems)
            if selected is not None:
                profilers.append(selected)
    raise_problems([_attributed(problem, raw, model) for problem in problems])
    return ResolvedConfig(
        run=run,
        selections=selections,
        profilers=tuple(profilers),
        effective=effective,
        installed={kind: tuple(one.name for one in catalog.components(kind)) for kind in Kind},
    )


def validated(component: Component, options: Mapping[str, Any], path: str = "") -> ComponentConfig:
    """The component's configuration made of `options`. Raises `ConfigError` that tells of every problem."""
    problems: list[Problem] = []
    config = _validated(component, options, path or component.name, problems)
    raise_problems(problems, f"the options of {component.kind.noun} '{component.name}'")
    assert config is not None
    return config


def _chosen_model(raw: Mapping[str, Any], catalog: Catalog, problems: list[Problem]) -> Component | None:
    section = section_of(raw, Kind.MODEL)
    name = section.get("use") if isinstance(section, Mapping) else None
    if isinstance(name, str):
        try:
            return catalog.choose(Kind.MODEL, name)
        except UnknownPluginError as error:
            problems.append(Problem("model.use", str(error), UnknownPluginError))
            return None
    if name is None and isinstance(section, Mapping):
        try:
            return _default_model(catalog)
        except ConfigError as error:
            problems.append(Problem("model.use", str(error)))
    return None  # a section of the wrong shape is told of with the skeleton


def _default_model(catalog: Catalog) -> Component:
    """The model that is meant where none is named: the one of highest priority, or the only one there is."""
    models = catalog.components(Kind.MODEL)
    if not models:
        raise ConfigError("no model is named, and none is installed. Try: pip install inferix-tinyworld.")
    priorities = {one.qualified_name: getattr(one.spec, "default_priority", 0) for one in models}
    highest = max(priorities.values())
    best = [one for one in models if priorities[one.qualified_name] == highest]
    if len(models) == 1 or (highest > 0 and len(best) == 1):
        return best[0]
    raise ConfigError(
        f"no model is named, and several are installed: {', '.join(one.name for one in models)}. "
        'Name one with --model or [model] use = "…".'
    )


def _preset(raw: Mapping[str, Any], model: Component | None, problems: list[Problem]) -> Mapping[str, Any]:
    """The model's preset, with the named one over it."""
    if model is None or not isinstance(model.spec, ModelSpec):
        return {}
    spec = model.spec
    section = section_of(raw, Kind.MODEL)
    name = section.get("preset") if isinstance(section, Mapping) else None
    if not isinstance(name, str):
        return spec.preset
    if name not in spec.presets:
        presets = ", ".join(spec.presets) or "none"
        problems.append(
            Problem(
                "model.preset",
                f"'{spec.name}' has no preset called '{name}'.{nearest(name, spec.presets)} Presets: {presets}.",
            )
        )
        return spec.preset
    return merge(spec.preset, spec.presets[name])


def _expanded(tables: Mapping[str, Any], model: Component | None, problems: list[Problem]) -> Mapping[str, Any]:
    """What the model's own options stand for."""
    section = section_of(tables, Kind.MODEL)
    if model is None or not isinstance(model.spec, ModelSpec) or not isinstance(section, Mapping):
        return {}
    expand = model.spec.load_expansion()
    options = {key: value for key, value in section.items() if key not in _SKELETON_KEYS[Kind.MODEL]}
    try:
        return expand(options) if expand is not None else {}
    except ConfigError as error:
        problems.append(Problem("model", str(error)))
        return {}


def _skeleton(effective: Mapping[str, Any], problems: list[Problem]) -> RunSettings:
    try:
        config = RunConfig.model_validate(effective)
    except ValidationError as error:
        problems += problems_of(error, RunConfig)
        return RunSettings()
    return RunSettings(**{name: getattr(config, name) for name in RunSettings.model_fields})


def _selected(
    kind: Kind, table: Mapping[str, Any], path: str, catalog: Catalog, problems: list[Problem]
) -> Selected | None:
    name = table.get("use")
    skeleton_keys = _SKELETON_KEYS.get(kind, ("use",))
    options = {key: value for key, value in table.items() if key not in skeleton_keys}
    if name is None:
        if options or kind is Kind.PROFILER:
            listed = ", ".join(one.name for one in catalog.components(kind)) or "none"
            keys = ", ".join(options) or "it"
            problems.append(Problem(path, f'needs use = "…" beside {keys}. Installed: {listed}.'))
        return None
    if not isinstance(name, str):
        return None  # told of with the skeleton
    try:
        component = catalog.choose(kind, name)
    except UnknownPluginError as error:
        problems.append(Problem(f"{path}.use", str(error), UnknownPluginError))
        return None
    config = _validated(component, options, path, problems)
    return Selected(component, config) if config is not None else None


def _validated(
    component: Component, options: Mapping[str, Any], path: str, problems: list[Problem]
) -> ComponentConfig | None:
    try:
        return component.spec.config.model_validate(dict(options))
    except ValidationError as error:
        problems += problems_of(error, component.spec.config, path.split("."))
        return None


def _attributed(problem: Problem, raw: Mapping[str, Any], model: Component | None) -> Problem:
    """The problem, saying so where it lies in the model's preset and not in what the user wrote."""
    found: Any = raw
    keys = problem.path.split(".")
    for key in keys:
        if isinstance(found, list | tuple):
            found = found[int(key)] if key.isdigit() and int(key) < len(found) else None
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        elif key == keys[0] and model is not None and _presets_set(model, keys):
            return Problem(problem.path, f"{problem.sentence} (From the preset of '{model.name}'.)", problem.error)
        else:
            return problem
    return problem


def _presets_set(model: Component, keys: list[str]) -> bool:
    return isinstance(model.spec, ModelSpec) and keys[0] in model.spec.preset
