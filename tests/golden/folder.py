"""Golden folders: an `index.json` with cases, tensors beside it in safetensors files, tables in JSON.

Two formats are read. In one a case is named by `name` and its tensors are called `in.*`, `out.*` and
`sd.*` (a state dict); in the other by `case`, tensors have a prefix for each call or run, and what is
an input is known to the runner alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class FolderError(Exception):
    """A folder, an index or a pattern that cannot be used."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a folder: `entry` is what the index says of it, with `folder` (a path) added."""

    name: str
    path: Path
    entry: dict[str, Any] = field(default_factory=dict)

    @property
    def is_table(self) -> bool:
        """Whether the case is a JSON file and not tensors."""
        return not self.path.name.endswith(".safetensors")

    def tolerance(self, outputs: Iterable[str]) -> Mapping[str, Any]:
        """The tolerances of the case; where each of its runs has its own, those of the outputs."""
        stated = self.entry.get("tolerance", {})
        if isinstance(stated, dict):
            return stated
        of_runs = {run["prefix_key"]: run["tolerance"] for run in self.entry["call"]["runs"]}
        found = {name: one for name in outputs for prefix, one in of_runs.items() if name.startswith(prefix)}
        return {f"{kind}_per_output": {name: one[kind] for name, one in found.items()} for kind in ("atol", "rtol")}

    def damage(self) -> str:
        """What is wrong with the file itself, an empty string if nothing is."""
        wanted = self.entry.get("sha256")
        if wanted is None:
            return ""
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return "" if found == wanted else f"{self.path.name} has sha256 {found[:12]}…, the index says {wanted[:12]}…"

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the case."""
        from safetensors.torch import load_file  # torch loads only when there is something to run

        return load_file(self.path)

    def table(self) -> Any:
        """The JSON content, unpacked if need be."""
        data = self.path.read_bytes()
        return json.loads(gzip.decompress(data) if self.path.suffix == ".gz" else data)

    def outputs(self, tensors: dict[str, Tensor], *inputs: tuple[str, ...]) -> dict[str, Tensor]:
        """The tensors that a runner must reproduce; `inputs` are patterns of those that it is given."""
        if "name" in self.entry:
            return {name.removeprefix("out."): t for name, t in tensors.items() if name.startswith("out.")}
        given = ("sd.*", *chain.from_iterable(inputs))
        return {name: t for name, t in tensors.items() if not any(fnmatchcase(name, one) for one in given)}


def read_cases(folder: Path, *, only: str | None = None) -> list[Case]:
    """The cases of a folder whose name matches the pattern `only` (default: all). Raises `FolderError`."""
    if not folder.is_dir():
        raise FolderError(f"'{folder}' is not a folder. Name one with an index.json, e.g. tests/golden/wan.")
    index = _index(folder)
    entries = [(str(entry.get("name") or entry["case"]), entry) for entry in index["cases"]]
    cases = [Case(name, folder / entry["file"], {**entry, "folder": folder}) for name, entry in entries]
    for table in ("json_files", "manifests"):
        described = index.get(table, {})
        cases += [Case(name, folder / name, {"case": name, **described[name], "folder": folder}) for name in described]
    matching = [case for case in cases if only is None or fnmatchcase(case.name, only)]
    if not matching:
        names = ", ".join(case.name for case in cases[:8])
        raise FolderError(f"No case of '{folder}' matches '{only}'. Its {len(cases)} cases: {names}, …")
    return matching


def _index(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    try:
        index = json.loads(path.read_text())
    except FileNotFoundError:
        raise FolderError(f"'{folder}' has no index.json; a golden folder needs one.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FolderError(f"'{path}' is no JSON: {error}") from error
    cases = index.get("cases") if isinstance(index, dict) else None
    if not isinstance(cases, list) or not all(_is_entry(entry) for entry in cases):
        raise FolderError(f"'{path}' lists no cases: a list `cases` of objects with `name` (or `case`) and `file`.")
    return index


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and "file" in entry and ("name" in entry or "case" in entry)
