"""Worlds on the disk: those that sleep, and those that somebody saved. Only names that we made come near a path."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inferix_core.errors import OutputError

from inferix_serve.hall.names import is_name
from inferix_serve.problems import not_found, too_many

SLEEPING, SAVED = "sleeping", "saved"


@dataclass(frozen=True, slots=True)
class Shelved:
    """What is known of a world on the disk without opening its file."""

    name: str
    kind: str
    seed: int
    num_blocks: int
    seconds: float
    parent: str | None = None
    created: float = field(default_factory=time.time)
    prompts: tuple[tuple[int, str], ...] = ()
    is_paused: bool = False

    @property
    def prompt(self) -> str | None:
        """The prompt that held."""
        return self.prompts[-1][1] if self.prompts else None


class Shelf:
    """A folder of worlds, each a world file, a note of what it is, and perhaps a picture."""

    def __init__(self, folder: Path, *, max_saved: int, max_sleeping: int) -> None:
        """Makes the folder, for its owner alone. Raises `OutputError` where it cannot."""
        self._folder = folder
        self._max_worlds = {SAVED: max_saved, SLEEPING: max_sleeping}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder '{folder}' for sleeping worlds cannot be made: {error.strerror}.") from error
        self._notes = {note.name: note for note in map(_read_note, sorted(folder.glob("*.json"))) if note is not None}

    def notes(self, kind: str) -> list[Shelved]:
        """All worlds of a kind, the newest first."""
        found = [note for note in list(self._notes.values()) if note.kind == kind]
        return sorted(found, key=lambda note: note.created, reverse=True)

    def note(self, name: str, kind: str) -> Shelved:
        """What is known of one. Raises `RefusedError` (404)."""
        found = self._notes.get(name)
        if found is None or found.kind != kind:
            raise not_found("saved world" if kind == SAVED else "world", name)
        return found

    def holds(self, name: str, kind: str) -> bool:
        """Whether there is such a world."""
        found = self._notes.get(name)
        return found is not None and found.kind == kind

    def check_room(self, kind: str) -> None:
        """Raises `RefusedError` (429) where another world of that kind would be one too many."""
        limit = self._max_worlds[kind]
        if len(self.notes(kind)) >= limit:
            raise too_many(f"too_many_{kind}_worlds", f"{limit} worlds are {kind} already. Delete one.", limit)

    def world_path(self, name: str) -> Path:
        """Where the world's file lies."""
        return self._path(name, ".world")

    def put(self, note: Shelved, picture: bytes | None) -> None:
        """Notes what a file is that has just been written at `world_path`."""
        if picture is not None:
            _write(self._path(note.name, ".jpg"), picture)
        _write(self._path(note.name, ".json"), json.dumps(asdict(note)).encode())
        self._notes[note.name] = note

    def picture(self, name: str) -> bytes | None:
        """The world's picture (JPEG), if it has one."""
        path = self._path(name, ".jpg")
        return path.read_bytes() if path.exists() else None

    def remove(self, name: str) -> None:
        """Deletes a world for good; nothing where there is none."""
        self._notes.pop(name, None)
        for suffix in (".json", ".world", ".jpg"):
            self._path(name, suffix).unlink(missing_ok=True)

    def _path(self, name: str, suffix: str) -> Path:
        if not is_name(name):
            raise not_found("world", name)
        return self._folder / f"{name}{suffix}"


def _read_note(path: Path) -> Shelved | None:
    """A note that we wrote, or None for anything else: a damaged one must not keep the server from starting."""
    try:
        raw: Mapping[str, Any] = json.loads(path.read_bytes())
        prompts = tuple((int(block), str(text)) for block, text in raw["prompts"])
        note = Shelved(**{**raw, "prompts": prompts})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_whole = note.name == path.stem and is_name(note.name) and path.with_suffix(".world").exists()
    return note if is_whole and note.kind in (SLEEPING, SAVED) else None


def _write(path: Path, content: bytes) -> None:
    """The file is complete or not there."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"'{path}' cannot be written: {error.strerror}.") from error
