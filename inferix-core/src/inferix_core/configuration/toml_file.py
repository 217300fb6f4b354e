"""Reading a configuration file, and laying `key=value` overrides over it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inferix_core.errors import ConfigError


def load_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `ConfigError` for one that is missing, unreadable or not TOML."""
    return read_toml(Path(path), what="configuration file")


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """The same for a file that errors call `what`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no {what} '{path}' (looked from {Path.cwd()}).") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The {what} '{path}' is not UTF-8 text, which TOML must be.") from error
    except OSError as error:
        raise ConfigError(f"The {what} '{path}' cannot be read: {error.strerror}.") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _quoted_line(text, error)
        raise ConfigError(f"The {what} '{path}' is not TOML: {error}.{line}") from error


def _quoted_line(text: str, error: tomllib.TOMLDecodeError) -> str:
    match = re.search(r"at line (\d+)", str(error))
    lines = text.splitlines()
    if match is None or int(match.group(1)) > len(lines):
        return ""
    return f" The line reads: {lines[int(match.group(1)) - 1].strip()}"


def apply_overrides(raw: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `raw` with `path.to.key=value` laid over it, later ones winning.

    Values are TOML, and text that is not TOML is a string. Raises `ConfigError` for an override that
    names no key, or one below something that is not a table; whether the key exists is for `resolve` to say.
    """
    result = dict(raw)
    for override in overrides:
        path, separator, text = override.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not separator or not all(keys):
            raise ConfigError(f"'{override}' is not an override. Write path.to.key=value, e.g. kv.policy.use=full.")
        result = _with_value(result, keys, _parsed(text.strip()), override)
    return result


def _with_value(table: Mapping[str, Any], keys: list[str], value: Any, override: str) -> dict[str, Any]:
    first, *rest = keys
    if not rest:
        return {**table, first: value}
    below = table.get(first, {})
    if not isinstance(below, Mapping):
        raise ConfigError(f"'{override}' cannot be set: '{first}' is {below!r}, not a table.")
    return {**table, first: _with_value(below, rest, value, override)}


def _parsed(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text
