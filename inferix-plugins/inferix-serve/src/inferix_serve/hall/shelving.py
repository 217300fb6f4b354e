"""Between a living world and the one on the disk."""

from __future__ import annotations

from typing import Any

from inferix_serve.hall.live_world import LiveWorld, Origin
from inferix_serve.hall.names import new_name
from inferix_serve.hall.shelf import SLEEPING, Shelf, Shelved
from inferix_serve.pictures import jpeg

_PICTURE_QUALITY, _PICTURE_SIDE = 85, 320


def shelve(live: LiveWorld, shelf: Shelf, *, kind: str) -> Shelved:
    """Writes a world to the disk: asleep under its own name, saved under a new one. The world lives on."""
    name = live.name if kind == SLEEPING else new_name()
    live.world.save(shelf.world_path(name))
    note = Shelved(
        name=name,
        kind=kind,
        seed=live.origin.seed,
        num_blocks=live.world.num_blocks,
        seconds=live.world.state.num_frames / live.clock.fps,
        parent=live.origin.parent if kind == SLEEPING else live.name,
        prompts=tuple(live.origin.prompts),
        is_paused=live.is_paused,
        **({"created": live.origin.created} if kind == SLEEPING else {}),
    )
    last = live.pictures.get(live.world.num_blocks - 1)
    shelf.put(note, None if last is None else jpeg(last, quality=_PICTURE_QUALITY, max_side=_PICTURE_SIDE))
    return note


def origin_of(note: Shelved, *, parent: str | None = None) -> Origin:
    """Where a world that comes from the disk came from."""
    prompts = [(block, text) for block, text in note.prompts]
    if note.kind == SLEEPING:
        return Origin(note.seed, parent=note.parent, created=note.created, prompts=prompts)
    return Origin(note.seed, parent=parent, prompts=prompts)


def asleep_view(note: Shelved) -> dict[str, Any]:
    """A sleeping world as plain data, with the keys of `LiveWorld.view` that hold for it."""
    return {
        "id": note.name,
        "state": "asleep",
        "parent": note.parent,
        "created": note.created,
        "prompt": note.prompt,
        "prompts": [{"block": block, "prompt": text} for block, text in note.prompts],
        "seed": note.seed,
        "held_action": None,
        "num_blocks": note.num_blocks,
        "next_block": note.num_blocks,
        "oldest_reachable": note.num_blocks,
        "num_frames": 0,
        "seconds": round(note.seconds, 3),
        "kv_bytes": 0,
        "viewers": 0,
        "missed_deadlines": 0,
        "block_ms": None,
        "input_to_photon_ms": None,
        "error": None,
    }


def saved_view(note: Shelved) -> dict[str, Any]:
    """A saved world as plain data."""
    return {
        "id": note.name,
        "world": note.parent,
        "created": note.created,
        "prompt": note.prompt,
        "seed": note.seed,
        "num_blocks": note.num_blocks,
        "seconds": round(note.seconds, 3),
    }
