"""What one plugin's hooks are and what they yield, checked so that a fault is told in words and harms nobody else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pluggy
from pydantic import ValidationError

from inferix_core import hookspecs
from inferix_core.errors import nearest
from inferix_core.specs import API, ComponentConfig, Kind, ModelSpec, Spec, StreamerSpec

HOOK_PREFIX = "inferix_"
WRAPPER_HOOKS = ("inferix_run_block", "inferix_run_pass")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_IMPLEMENTATION = re.compile(r"[\w.]+:\w+")
_SPEC_TYPES: dict[Kind, type[Spec]] = {Kind.MODEL: ModelSpec, Kind.STREAMER: StreamerSpec}


class FaultyPluginError(Exception):
    """A plugin that is not written as a plugin must be; the message says what is wrong and what would be right."""


class OtherApiError(Exception):
    """A plugin written for another API of the core."""


def new_plugin_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hook specs and no plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def register_checked(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Registers one plugin; raises `FaultyPluginError` and leaves it unregistered if a hook is not as it should be."""
    known = [hook for hook in vars(hookspecs) if hook.startswith(HOOK_PREFIX)]
    for attribute in dir(plugin):
        if not attribute.startswith(HOOK_PREFIX):
            continue
        function = getattr(plugin, attribute)
        marked = hasattr(function, f"{hookspecs.PROJECT}_impl")
        if marked and attribute not in known:
            raise FaultyPluginError(f"There is no hook '{attribute}'.{nearest(attribute, known)}")
        if not marked and attribute in known:
            raise FaultyPluginError(f"'{attribute}' is not marked as a hook. Put @hookimpl above it.")
    try:
        manager.register(plugin, name=name)
    except pluggy.PluginValidationError as error:
        raise FaultyPluginError(_signature_fault(plugin) or str(error)) from error
    for hook in WRAPPER_HOOKS:
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin and not implementation.wrapper:
                manager.unregister(plugin)
                raise FaultyPluginError(
                    f"'{hook}' must be a generator that yields once, under @hookimpl(wrapper=True)."
                )


def _signature_fault(plugin: object) -> str:
    """The first hook that takes arguments its spec does not have, with the signature that would be right."""
    for attribute in dir(plugin):
        specification = getattr(hookspecs, attribute, None) if attribute.startswith(HOOK_PREFIX) else None
        if specification is None:
            continue
        accepted = inspect.signature(specification).parameters
        found = [name for name in inspect.signature(getattr(plugin, attribute)).parameters if name != "self"]
        if unknown := [name for name in found if name not in accepted]:
            return (
                f"'{attribute}' takes {', '.join(repr(name) for name in unknown)}, which the hook does not give. "
                f"Its signature is {attribute}({', '.join(accepted)})."
            )
    return ""


def read_specs(plugin: object, name: str) -> list[tuple[Kind, Spec]]:
    """Every spec that the plugin yields.

    Raises `FaultyPluginError` where a hook or a spec is wrong, `OtherApiError` where a spec is of another API,
    and whatever the plugin's own code raises.
    """
    manager = new_plugin_manager()
    register_checked(manager, plugin, name)
    specs: list[tuple[Kind, Spec]] = []
    seen: set[tuple[Kind, str]] = set()
    for kind in Kind:
        for spec in _yielded(manager, kind):
            _check_spec(kind, spec)
            if (kind, spec.name) in seen:
                raise FaultyPluginError(f"It yields two {kind.noun}s called '{spec.name}'. Rename one.")
            seen.add((kind, spec.name))
            specs.append((kind, spec))
    return specs


def _yielded(manager: pluggy.PluginManager, kind: Kind) -> Iterator[Spec]:
    wanted = _SPEC_TYPES.get(kind, Spec)
    for result in getattr(manager.hook, kind.hook)():
        if not hasattr(result, "__iter__"):
            raise FaultyPluginError(f"'{kind.hook}' must return or yield specs, found {type(result).__name__}.")
        for spec in result:
            if not isinstance(spec, wanted):
                raise FaultyPluginError(f"'{kind.hook}' must yield {wanted.__name__}, found {type(spec).__name__}.")
            yield spec


def _check_spec(kind: Kind, spec: Spec) -> None:
    """Raises where a spec cannot be described, validated or loaded, before anybody asks for it."""
    if spec.api != API:
        older = spec.api < API
        raise OtherApiError(
            f"Its {kind.noun} '{spec.name}' is written for API {spec.api}, and this core has API {API}. "
            + ("Upgrade the plugin." if older else "Upgrade inferix-core.")
        )
    label = f"The {kind.noun} {spec.name!r}"
    if not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        raise FaultyPluginError(f"{label} needs a name of lower-case letters, digits, '.', '_' and '-'.")
    if not isinstance(spec.implementation, str) or not _IMPLEMENTATION.fullmatch(spec.implementation):
        raise FaultyPluginError(
            f"{label} needs an implementation 'package.module:attribute', found {spec.implementation!r}."
        )
    if not isinstance(spec.provides, frozenset):
        raise FaultyPluginError(f"{label} needs a frozenset of names as `provides`, found {spec.provides!r}.")
    if not (isinstance(spec.config, type) and issubclass(spec.config, ComponentConfig)):
        raise FaultyPluginError(f"{label} needs a subclass of ComponentConfig as `config`, found {spec.config!r}.")
    reserved = {"use", "preset"} if kind is Kind.MODEL else {"use"}
    if taken := reserved & set(spec.config.model_fields):
        raise FaultyPluginError(f"{label} has a configuration key '{min(taken)}', which the configuration itself uses.")
    _check_defaults(label, spec.config)


def _check_defaults(label: str, config: type[ComponentConfig]) -> None:
    # pydantic does not validate defaults, so a default outside its own bounds would pass until it is used.
    defaults = {
        field.alias or name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in config.model_fields.items()
        if not field.is_required()
    }
    try:
        config.model_validate(defaults)
    except ValidationError as error:
        wrong = [fault for fault in error.errors(include_url=False) if fault["type"] != "missing"]
        if wrong:
            path = ".".join(str(part) for part in wrong[0]["loc"])
            raise FaultyPluginError(f"{label} has a bad default for '{path}': {wrong[0]['msg']}.") from error
