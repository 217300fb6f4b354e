"""Worlds behind the face of a simulator: `reset`, `step`, `fork`; as a Gymnasium environment too.

Importing this loads neither torch nor gymnasium.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferix_core.gym.environment import Action, Frames, Info, WorldEnvironment

if TYPE_CHECKING:
    from inferix_core.gym.gymnasium_world import GymnasiumWorld as GymnasiumWorld

__all__ = ["Action", "Frames", "GymnasiumWorld", "Info", "WorldEnvironment"]


def __getattr__(name: str) -> Any:
    """`GymnasiumWorld`, imported now. Raises `UnsupportedError` where gymnasium is not installed."""
    if name != "GymnasiumWorld":
        raise AttributeError(f"module 'inferix_core.gym' has no attribute '{name}'")
    from inferix_core.gym.gymnasium_world import GymnasiumWorld

    return GymnasiumWorld
