"""Everything a world is, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from inferix_core.plan import Progress
from inferix_core.runtime.log import WorldLog
from inferix_core.runtime.relevance import Means
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.kv import KVCache
    from inferix_core.contracts.model import Conditions
    from inferix_core.runtime.noise import NoiseSource
    from inferix_core.runtime.sight import Relevance


@dataclass(frozen=True, slots=True, eq=False)
class FlyingBlock:
    """A block that has begun and is not finished: latents `[L, C, h, w]`, solver history, conditions.

    `relevance` holds, for each cache, the scores that its policy was given when the block began there.
    """

    latents: Tensor
    conditions: Conditions
    signal_ids: tuple[str, ...]
    history: Any = None
    gathered: Tensor | None = None
    relevance: Mapping[str, Relevance] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class WorldState:
    """The live state of one simulation; tensors in it are never modified in place.

    `flying` holds the blocks in flight, `clean` the finished blocks that have not been committed yet,
    `committed` the clean latents `[C, h, w]` of every page that is held, `means` what a policy that chooses by
    content needs of each cache's pages. `beginning` are the parts of conditions that the world was given when it began,
    e.g. what a model made of a picture. `pending` are the signals that no block reflects yet, and `upcoming` the
    conditions that they ask for. `script` are signals that a replay has for blocks to come.
    """

    id: str
    noise: NoiseSource
    prefix: Tensor | None
    horizon: int | None
    beginning: Conditions = field(default_factory=dict)
    pending: list[Signal] = field(default_factory=list)
    caches: dict[str, KVCache] = field(default_factory=dict)
    flying: dict[int, FlyingBlock] = field(default_factory=dict)
    clean: dict[int, FlyingBlock] = field(default_factory=dict)
    committed: dict[int, Tensor] = field(default_factory=dict)
    conditions: Conditions | None = None
    upcoming: Conditions | None = None
    decoder_state: Any = None
    num_finished: int = 0
    num_frames: int = 0
    means: dict[str, Means] = field(default_factory=dict)
    log: WorldLog = field(default_factory=WorldLog)
    script: Mapping[int, Sequence[Signal]] = field(default_factory=dict)

    @property
    def progress(self) -> Progress:
        """How far the world is, as planners are told."""
        num_prefix_latents = 0 if self.prefix is None else self.prefix.shape[0]
        return Progress(self.num_finished, num_prefix_latents, self.horizon)

    def snapshot(self) -> WorldState:
        """The state now, to go back to. Shares tensors and caches."""
        return replace(
            self,
            pending=list(self.pending),
            caches=dict(self.caches),
            flying=dict(self.flying),
            clean=dict(self.clean),
            committed=dict(self.committed),
            means=dict(self.means),
            log=self.log.copy(),
        )

    def shelved(self) -> WorldState:
        """The same state to be kept: caches of its own with the same pages, shared where the store can, and no room.

        Raises `CapacityError` or `UnsupportedError`, and then leaves nothing behind.
        """
        forked: dict[str, KVCache] = {}
        try:
            for name, cache in self.caches.items():
                forked[name] = cache.fork()
        except BaseException:
            for cache in forked.values():
                cache.close()
            raise
        return replace(self.snapshot(), caches=forked)

    def fork(self, *, reserved: Mapping[str, Sequence[int]] | None = None) -> WorldState:
        """The same state to go on from: as `shelved`, with room for what is in flight.

        Its blocks in flight have begun: they see what they saw, and the policy is not asked about them again.
        `reserved` says what is in flight in each cache, where this state's own caches have no room for it.
        """
        twin = self.shelved()
        try:
            for name, cache in twin.caches.items():
                latents = self.caches[name].reserved if reserved is None else reserved.get(name, ())
                if latents:
                    cache.reserve(latents)
        except BaseException:
            twin.close()
            raise
        return twin

    def restore(self, snapshot: WorldState) -> None:
        """Goes back to a snapshot; what became of its caches is the caller's business."""
        for name in _FIELDS:
            setattr(self, name, getattr(snapshot, name))

    def close(self) -> None:
        """Gives the caches' room back."""
        for cache in self.caches.values():
            cache.close()


_FIELDS = tuple(one.name for one in fields(WorldState) if one.name not in ("id", "caches"))
