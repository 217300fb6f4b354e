"""Combinations of store, policy and codec, as a user writes them: `paged/window(num_window_latents=9)/int8`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferix_core.catalog import Catalog
from inferix_core.configuration import ResolvedConfig, merge, resolve
from inferix_core.errors import ConfigError
from inferix_core.specs import Kind

_KINDS = {"store": Kind.KV_STORE, "policy": Kind.KV_POLICY, "codec": Kind.KV_CODEC}
_PART = re.compile(r"\s*(?P<name>[^()/]*?)\s*(?:\((?P<options>[^()]*)\))?\s*")
_PLAIN = {"store": {"use": "dense"}, "policy": {"use": "full"}, "codec": {"use": "none"}}


@dataclass(frozen=True, slots=True)
class KVCase:
    """One combination: the whole tables of the store, the policy and the codec, and how a user writes it."""

    label: str
    tables: Mapping[str, Mapping[str, Any]]

    def resolved(self, config: ResolvedConfig, catalog: Catalog) -> ResolvedConfig:
        """`config` with this combination. Raises `ConfigError`."""
        raw = {**config.effective, "kv": {**config.effective.get("kv", {}), **self.tables}}
        return resolve(raw, catalog)


def case_of(text: str, config: ResolvedConfig) -> KVCase:
    """The combination of `STORE/POLICY/CODEC`, each `name` or `name(key=value, …)`; parts left out are `config`'s.

    Options of a component that `config` has already are laid over its own. Raises `ConfigError` for other forms.
    """
    parts = _split(text)
    if len(parts) > len(_KINDS):
        raise _refusal(text)
    own = _own_tables(config)
    given = {kind: _table(part, own[kind], text) for kind, part in zip(_KINDS, parts, strict=False)}
    return _case({kind: merge({"kv": own}, {"kv": {kind: table}})["kv"][kind] for kind, table in given.items()}, own)


def default_cases(config: ResolvedConfig, catalog: Catalog) -> list[KVCase]:
    """The configuration's own, every other store in its place, and every other codec, under its own policy."""
    own = _own_tables(config)
    cases = [_case({}, own)]
    for kind in ("store", "codec"):
        names = [component.name for component in catalog.components(_KINDS[kind])]
        cases += [_case({kind: {"use": name}}, own) for name in names if name != _bare(own[kind])]
    return cases


def reference_case(config: ResolvedConfig) -> KVCase:
    """Everything is kept and seen, as it is, in the plain store."""
    return _case(_PLAIN, _own_tables(config))


def without_codec(case: KVCase, config: ResolvedConfig) -> KVCase:
    """What the policy of `case` costs alone: pages as they are, in the plain store."""
    return _case({**_PLAIN, "policy": case.tables["policy"]}, _own_tables(config))


def _case(tables: Mapping[str, Mapping[str, Any]], own: Mapping[str, Mapping[str, Any]]) -> KVCase:
    whole = {kind: tables.get(kind, own[kind]) for kind in _KINDS}
    return KVCase("/".join(_written(whole[kind], own[kind]) for kind in _KINDS), whole)


def _own_tables(config: ResolvedConfig) -> dict[str, Mapping[str, Any]]:
    kv = config.effective.get("kv", {})
    return {kind: kv.get(kind) or _PLAIN[kind] for kind in _KINDS}


def _bare(table: Mapping[str, Any]) -> str:
    return str(table.get("use", "")).rpartition(":")[2]


def _written(table: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The component's name, with its options unless they are the configuration's own."""
    options = ", ".join(f"{key}={_toml(value)}" for key, value in table.items() if key != "use")
    return f"{_bare(table)}({options})" if options and table != own else _bare(table)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _split(text: str) -> Sequence[str]:
    """The parts between slashes that are not in parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _table(part: str, own: Mapping[str, Any], text: str) -> dict[str, Any]:
    match = _PART.fullmatch(part)
    if match is None:
        raise _refusal(text)
    try:
        options = tomllib.loads(f"options = {{{match['options'] or ''}}}")["options"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The options in '{part.strip()}' are not TOML: {error}. {_FORM}") from error
    return {"use": match["name"] or own["use"], **options}


def _refusal(text: str) -> ConfigError:
    return ConfigError(f"'{text}' is no combination. {_FORM}")


_FORM = "Write STORE/POLICY/CODEC, each as name or name(key=value, …), e.g. paged/window(num_window_latents=9)/int8."
