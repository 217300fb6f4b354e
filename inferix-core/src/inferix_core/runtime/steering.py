"""Signals on their way to a block: each is encoded once, when it is sent, and waits for the next block to begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferix_core.errors import SignalError
from inferix_core.runtime.log import SignalRecord
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from inferix_core.contracts.model import Conditions, Model
    from inferix_core.runtime.state import WorldState
    from inferix_core.specs import ModelSpec


def check_guidance(signal: Signal, model: ModelSpec) -> None:
    """Raises `SignalError` for a negative prompt to a model that is not guided."""
    if signal.negative_prompt is not None and "negative-prompt" not in model.provides:
        raise SignalError(
            f"The model '{model.name}' is not guided away from a negative prompt, found '{signal.negative_prompt}'. "
            "Leave it out, or choose a model that provides 'negative-prompt'."
        )


def queue(state: WorldState, signal: Signal, *, model: Model) -> None:
    """Adds a signal to those that the next block to begin will reflect; of several of a kind the last counts.

    Raises `SignalError` for one that the model does not understand, and then changes nothing.
    """
    previous = state.conditions if state.upcoming is None else state.upcoming
    action = signal.action if signal.action is not None else _latest_action(state.pending)
    told = Signal(prompt=signal.prompt, negative_prompt=signal.negative_prompt, action=action)
    state.upcoming = model.encode(told, previous)
    state.pending = [*state.pending, signal]


def script_to_pending(state: WorldState, *, block: int, model: Model) -> None:
    """Queues what a replay has for a block that is about to begin; nothing when it is asked again."""
    if block not in state.script:
        return
    for signal in state.script[block]:
        queue(state, signal, model=model)
    state.script = {later: signals for later, signals in state.script.items() if later != block}


def take(state: WorldState, *, block: int, model: Model) -> tuple[Conditions, tuple[str, ...]]:
    """The conditions for a block that begins now, and the ids of the signals that it is the first to reflect."""
    script_to_pending(state, block=block, model=model)
    conditions = state.upcoming
    if conditions is None:
        conditions = model.encode(Signal(), state.conditions)
    for signal in state.pending:
        state.log.add(SignalRecord(block, signal))
    signal_ids = tuple(signal.id for signal in state.pending if signal.id is not None)
    state.pending, state.upcoming, state.conditions = [], None, conditions
    return conditions, signal_ids


def _latest_action(signals: Sequence[Signal]) -> str | None:
    return next((signal.action for signal in reversed(signals) if signal.action is not None), None)
