"""How much of its prompt a world still shows after a while: tinyworld's measure for `inferix bench kv`."""

from __future__ import annotations

from collections.abc import Mapping

from inferix_core import Engine
from inferix_core.errors import ConfigError

from inferix_tinyworld.scene import FPS
from inferix_tinyworld.trials import Trial, measure_long

_NAMES = {
    "long colour": "colour right",
    "long sky": "sky right",
    "long both": "colour and sky right",
    "long one object": "frames with one object",
}


def measure_drift(engine: Engine, *, seconds: float, num_worlds: int, seed_start: int) -> Mapping[str, float]:
    """Shares of worlds, or of frames, that are right in the last second of worlds of `seconds`.

    See `ModelSpec.drift`. Raises `ConfigError` for less than a frame or a world.
    """
    if num_worlds < 1 or round(seconds * FPS) < 1:
        raise ConfigError(
            f"The drift of {num_worlds} worlds of {seconds:g} s was asked for. "
            f"It needs 1 world and {1 / FPS:g} s at least."
        )
    trials = [Trial(seed) for seed in range(seed_start, seed_start + num_worlds)]
    counts = measure_long(engine, trials, seconds=seconds)
    return {said: counts[name] / counts[f"{name} of"] for name, said in _NAMES.items()}
