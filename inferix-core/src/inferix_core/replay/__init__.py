"""The log of a world as a file, and the world made again from it.

Reading and writing logs imports no tensor library; `replaying` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferix_core.replay.log_file import read_log, write_log
from inferix_core.replay.recording import Circumstances, Recording, recording_of

if TYPE_CHECKING:
    from inferix_core.replay.replaying import Replay as Replay
    from inferix_core.replay.replaying import ReplayedBlock as ReplayedBlock
    from inferix_core.replay.replaying import Verification as Verification
    from inferix_core.replay.replaying import verify as verify

_LATE = ("Replay", "ReplayedBlock", "Verification", "verify")

__all__ = ["Circumstances", "Recording", "read_log", "recording_of", "write_log", *_LATE]


def __getattr__(name: str) -> Any:
    """A name that needs torch, imported now."""
    if name not in _LATE:
        raise AttributeError(f"module 'inferix_core.replay' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module("inferix_core.replay.replaying"), name)
