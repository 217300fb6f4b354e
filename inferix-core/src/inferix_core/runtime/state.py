"""Everything a world is, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inferix_core.plan import Progress
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.kv import KVCache
    from inferix_core.contracts.model import Conditions
    from inferix_core.runtime.noise import NoiseSource


@dataclass(frozen=True, slots=True, eq=False)
class FlyingBlock:
    """A block that has begun and is not finished: latents `[L, C, h, w]`, solver history, conditions."""

    latents: Tensor
    conditions: Conditions
    signal_ids: tuple[str, ...]
    history: Any = None
    gathered: Tensor | None = None


@dataclass(slots=True, eq=False)
class WorldState:
    """The live state of one simulation; tensors in it are never modified in place.

    `flying` holds the blocks in flight, `clean` the finished blocks that have not been committed yet,
    `committed` the clean latents `[C, h, w]` of every page that is held. `pending` are the signals that no
    block reflects yet, and `upcoming` the conditions that they ask for.
    """

    id: str
    noise: NoiseSource
    prefix: Tensor | None
    horizon: int | None
    pending: list[Signal] = field(default_factory=list)
    caches: dict[str, KVCache] = field(default_factory=dict)
    flying: dict[int, FlyingBlock] = field(default_factory=dict)
    clean: dict[int, FlyingBlock] = field(default_factory=dict)
    committed: dict[int, Tensor] = field(default_factory=dict)
    conditions: Conditions | None = None
    upcoming: Conditions | None = None
    decoder_state: Any = None
    num_finished: int = 0

    @property
    def progress(self) -> Progress:
        """How far the world is, as planners are told."""
        num_prefix_latents = 0 if self.prefix is None else self.prefix.shape[0]
        return Progress(self.num_finished, num_prefix_latents, self.horizon)

    def snapshot(self) -> WorldState:
        """The state now, to go back to when a step fails. Shares tensors and caches."""
        return replace(
            self,
            pending=list(self.pending),
            flying=dict(self.flying),
            clean=dict(self.clean),
            committed=dict(self.committed),
        )

    def restore(self, snapshot: WorldState) -> None:
        """Goes back to a snapshot; caches are left to the caller."""
        self.pending, self.upcoming, self.conditions = snapshot.pending, snapshot.upcoming, snapshot.conditions
        self.flying, self.clean, self.committed = snapshot.flying, snapshot.clean, snapshot.committed
        self.decoder_state, self.num_finished = snapshot.decoder_state, snapshot.num_finished
