"""Which strategy spreads a workload over a topology best, and why the others do not. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from inferix_core.contracts.workload import Workload
from inferix_core.errors import ConfigError

from inferix_parallel.configuration import Passing
from inferix_parallel.degrees import Degrees, Heads
from inferix_parallel.prediction import Prediction, predict, predict_stages
from inferix_parallel.topology import Topology

_ALIKE = 1.05
"""Times that differ by less are alike: no prediction is better than that."""

Strategy = Literal["none", "ulysses", "ring", "hybrid", "pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way of using ranks: what it is predicted to cost, or None and why it cannot be; `reason` compares it."""

    strategy: Strategy
    degrees: Degrees = field(default_factory=Degrees)
    passes: Passing = "queries"
    prediction: Prediction | None = None
    reason: str = ""

    @property
    def num_ranks(self) -> int:
        """How many ranks it uses."""
        return self.degrees.num_ranks

    @property
    def label(self) -> str:
        """The strategy with its degrees, as tables and logs name it."""
        if self.strategy == "hybrid":
            return f"hybrid {self.degrees.ring} x {self.degrees.ulysses}"
        return f"{self.strategy}, keys go round" if self.passes == "keys" else self.strategy


@dataclass(frozen=True, slots=True)
class Choice:
    """All candidates, in the order of their names, each with its reason; `chosen` is the best one of them."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]


def choose(workload: Workload, topology: Topology, *, uses_all_ranks: bool = False) -> Choice:
    """Of the candidates that can be and are predicted to take about the least time, the one that sends least.

    With `uses_all_ranks` one rank alone is no choice. Raises `ConfigError` with every reason where nothing can be.
    """
    candidates = [_within_memory(one, topology) for one in _candidates(workload, topology)]
    able = [one for one in candidates if one.prediction is not None]
    if uses_all_ranks and topology.num_ranks > 1:
        able = [one for one in able if one.strategy != "none"]
    if not able:
        reasons = " ".join(f"{one.label}: {one.reason}" for one in candidates if one.reason)
        raise ConfigError(f"No strategy can spread this model over {topology.num_ranks} ranks. {reasons}")
    least = min(_seconds(one) for one in able)
    best = min((one for one in able if _seconds(one) <= _ALIKE * least), key=_sent_bytes)
    compared = tuple(_compared(one, best) for one in candidates)
    return Choice(compared[candidates.index(best)], compared)


def _candidates(workload: Workload, topology: Topology) -> Iterator[Candidate]:
    yield Candidate(strategy="none", prediction=predict(workload, topology.on(1), Degrees()))
    num_ranks = topology.num_ranks
    if num_ranks == 1:
        return
    yield _spread(workload, topology, "ulysses", Degrees(ulysses=num_ranks))
    for passes in ("queries", "keys"):
        yield _spread(workload, topology, "ring", Degrees(ring=num_ranks), passes=passes)
    for ulysses in range(2, num_ranks):
        if num_ranks % ulysses == 0:
            yield _spread(workload, topology, "hybrid", Degrees(num_ranks // ulysses, ulysses))
    yield _staged(workload, topology)


def _spread(
    workload: Workload, topology: Topology, strategy: Strategy, degrees: Degrees, *, passes: Passing = "queries"
) -> Candidate:
    """A candidate that cuts tokens and heads."""
    candidate = Candidate(strategy=strategy, degrees=degrees, passes=passes)
    layout = workload.outline.layout
    try:
        degrees.check(layout, Heads.of(layout, workload.outline.num_heads))
    except ConfigError as error:
        return replace(candidate, reason=str(error))
    return replace(candidate, prediction=predict(workload, topology, degrees, passes=passes))


def _staged(workload: Workload, topology: Topology) -> Candidate:
    """The candidate that cuts layers."""
    candidate = Candidate(strategy="pipeline", degrees=Degrees(ring=topology.num_ranks))
    num_layers = workload.outline.layout.num_layers
    if num_layers < topology.num_ranks:
        return replace(candidate, reason=f"{num_layers} layers cannot be cut into {topology.num_ranks} parts.")
    if not workload.stages_layers:
        return replace(candidate, reason="The model's layers cannot run on different ranks ('layer-stages').")
    if workload.num_blocks_in_flight == 1:
        return replace(
            candidate, reason="The plan has one block in flight at a time, so ranks would wait for one another."
        )
    return replace(candidate, prediction=predict_stages(workload, topology))


def _within_memory(candidate: Candidate, topology: Topology) -> Candidate:
    prediction = candidate.prediction
    if prediction is None or topology.memory_bytes is None:
        return candidate
    needed = prediction.kv_bytes + prediction.weight_bytes
    if needed <= topology.memory_bytes:
        return candidate
    reason = (
        f"{needed / 2**30:.1f} GiB of weights, keys and values on each rank are more than its "
        f"{topology.memory_bytes / 2**30:.1f} GiB."
    )
    return replace(candidate, prediction=None, reason=reason)


def _seconds(candidate: Candidate) -> float:
    assert candidate.prediction is not None, "only those that can be are compared"
    return candidate.prediction.seconds


def _sent_bytes(candidate: Candidate) -> tuple[float, float]:
    assert candidate.prediction is not None, "only those that can be are compared"
    return candidate.prediction.sent_bytes, candidate.prediction.seconds


def _compared(candidate: Candidate, best: Candidate) -> Candidate:
    """The candidate with what it is beside the best."""
    mine, other = candidate.prediction, best.prediction
    if mine is None or other is None:
        return candidate
    if candidate is best:
        talk = f"; {mine.talk_seconds / mine.seconds:.0%} of it is waiting for other ranks" if mine.sent_bytes else ""
        return replace(candidate, reason=f"Chosen: about the least time, and sends least of those{talk}.")
    if candidate.strategy == "none":
        reason = f"{_times(mine, other)}: one rank computes all."
        if mine.seconds <= other.seconds:
            reason = "Would be faster: this block is too small for its ranks' links. Use one rank."
        return replace(candidate, reason=reason)
    return replace(candidate, reason=f"{_times(mine, other)}{_why(mine, other)}.")


def _times(mine: Prediction, best: Prediction) -> str:
    ratio = mine.seconds / best.seconds
    return "About as quick" if 1 / _ALIKE <= ratio <= _ALIKE else f"Takes {ratio:.2f} times as long"


def _why(mine: Prediction, best: Prediction) -> str:
    """What is behind the difference, as the end of a sentence."""
    more = mine.sent_bytes - best.sent_bytes
    if more > 0.01 * best.sent_bytes:
        return f", and sends {more / 1e6:.1f} MB more"
    if mine.compute_seconds - best.compute_seconds > mine.talk_seconds - best.talk_seconds:
        return ", since ranks compute more"
    return ", since ranks wait longer for messages"
