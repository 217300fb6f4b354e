"""New worlds, on every rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.runtime.beginning import beginning_of, check_no_beginning, check_plan
from inferix_core.runtime.log import SeedRecord
from inferix_core.runtime.noise import CounterNoise, NoiseSource, checked_seed
from inferix_core.runtime.state import WorldState
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.model import Conditions
    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World


def new_world(
    engine: Engine,
    prompt: str | None,
    *,
    seed: int,
    prefix: Tensor | None,
    frames: Tensor | None,
    fit: str | None,
    conditions: Conditions | None,
    num_blocks: int | None,
    noise: NoiseSource | None,
) -> World:
    """See `Engine.create_world`."""
    engine.check_drives()
    checked_seed(seed)
    if num_blocks is not None and num_blocks < 1:
        raise ConfigError(f"A world has at least 1 block; num_blocks = {num_blocks} was asked for.")
    if frames is not None:
        if prefix is not None or conditions is not None:
            raise ConfigError("A world begins with frames, or with a prefix and conditions that were made of some.")
        begun = beginning_of(engine, frames, fit=fit)
        prefix, conditions = begun.latents, begun.conditions or None
    elif not conditions and engine.config is not None:
        check_no_beginning(engine.config.model)
    if prefix is not None:
        prefix = _checked_prefix(engine, prefix)
    company = engine.company
    if company is not None and noise is not None:
        raise UnsupportedError("On several ranks noise comes from a seed: each makes its own. Leave noise out.")

    def make() -> World:
        state = WorldState(id=engine.next_id(), noise=noise or CounterNoise(seed), prefix=prefix, horizon=num_blocks)
        state.conditions, state.beginning = conditions, conditions or {}
        if noise is None:
            state.log.add(SeedRecord(0, seed))
        check_plan(engine.parts.planner, state.progress)  # what cannot be planned is said now, not blocks later
        if prompt is not None:
            engine.queue_signal(state, Signal(prompt=prompt))
        return engine.world_of(state)

    if company is None:
        return make()
    return company.create(make, prompt=prompt, seed=seed, prefix=prefix, conditions=conditions, num_blocks=num_blocks)


def _checked_prefix(engine: Engine, prefix: Tensor) -> Tensor:
    expected = engine.geometry.latent_shape
    if prefix.ndim != 4 or tuple(prefix.shape[1:]) != expected:
        raise ConfigError(
            f"A prefix is latents of shape [L, {', '.join(map(str, expected))}]; found {list(prefix.shape)}."
        )
    return prefix.detach().to(engine.device, engine.parts.model.latent_dtype, copy=True)
