"""From a world to what is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inferix_core import __version__
from inferix_core.contracts.model import Condition, Conditions
from inferix_core.errors import UnsupportedError
from inferix_core.replay.recording import origin_of
from inferix_core.runtime.noise import CounterNoise
from inferix_core.worldfile.identity import codec_of, identity_of
from inferix_core.worldfile.manifest import (
    BlockEntry,
    CommittedEntry,
    ConditionEntry,
    Manifest,
    MeansEntry,
    StateEntry,
    SurplusEntry,
)
from inferix_core.worldfile.pages import add_pages
from inferix_core.worldfile.tensors import TensorSources
from inferix_core.worldfile.trees import tree_of

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.events import Block
    from inferix_core.runtime.relevance import Means
    from inferix_core.runtime.state import FlyingBlock
    from inferix_core.runtime.world import World
    from inferix_core.worldfile.spread_pages import SpreadPages


def packed(
    world: World, *, pages: SpreadPages | None = None, decoder_state: Any = None
) -> tuple[Manifest, TensorSources]:
    """The manifest of a world, without its tensors' entries, and the sources of these.

    `pages` brings those of a world that lies over several ranks, whose decoder state is `decoder_state`.

    Raises `UnsupportedError` for a world with noise that no seed makes, and for states that are no plain data.
    """
    engine = world.engine
    sources = TensorSources(engine.device)
    present = origin_of(engine)
    manifest = Manifest(
        core_version=__version__,
        engine=present,
        origin=world.log.origin or present,
        identity=identity_of(engine),
        codec=codec_of(engine),
        state=_Packer(world, sources).state(world.state.decoder_state if pages is None else decoder_state),
    )
    if pages is None:
        caches = add_pages(world.state.caches, manifest.layouts, engine.dtype, sources)
    else:
        caches = pages.add(world.state.caches, manifest.layouts, engine.dtype, sources)
    state = manifest.state.model_copy(update={"caches": caches})
    return manifest.model_copy(update={"state": state}), sources


class _Packer:
    """Names the tensors of one world, and numbers its conditions: those that are shared stay so."""

    def __init__(self, world: World, sources: TensorSources) -> None:
        self._world = world
        self._sources = sources
        self._conditions: dict[int, tuple[int, ConditionEntry]] = {}

    def state(self, decoder_state: Any) -> StateEntry:
        """All but the caches."""
        state = self._world.state
        flying = {block: self._block(one, f"flying.{block}") for block, one in state.flying.items()}
        clean = {block: self._block(one, f"clean.{block}") for block, one in state.clean.items()}
        conditions, upcoming = self._parts(state.conditions), self._parts(state.upcoming)
        beginning = {name: self._condition(one) for name, one in state.beginning.items()}
        return StateEntry(
            seed=self._seed(),
            prefix=self._optional(state.prefix, "prefix"),
            horizon=state.horizon,
            pending=tuple(state.pending),
            caches={},
            flying=flying,
            clean=clean,
            committed=self._committed(state.committed),
            condition_table=tuple(entry for _, entry in self._conditions.values()),
            conditions=conditions,
            upcoming=upcoming,
            decoder_state=tree_of(decoder_state, where="decoder_state", name_of=self._sources.add),
            num_finished=state.num_finished,
            num_frames=state.num_frames,
            means={cache: self._means(means, f"means.{cache}") for cache, means in state.means.items()},
            log=tuple(state.log.records),
            script={block: tuple(signals) for block, signals in state.script.items()},
            surplus=self._surplus(self._world.surplus),
            beginning=beginning,
        )

    def _seed(self) -> int:
        noise = self._world.state.noise
        if type(noise) is not CounterNoise:
            raise UnsupportedError(
                f"World '{self._world.id}' draws its noise from a {type(noise).__qualname__}, which cannot be saved. "
                "Create it with seed and without noise."
            )
        return noise.seed

    def _block(self, block: FlyingBlock, where: str) -> BlockEntry:
        conditions = self._parts(block.conditions)
        assert conditions is not None, "a block has begun with conditions"
        return BlockEntry(
            latents=self._sources.add(block.latents, f"{where}.latents"),
            conditions=conditions,
            signal_ids=block.signal_ids,
            history=tree_of(block.history, where=f"{where}.history", name_of=self._sources.add),
            gathered=self._optional(block.gathered, f"{where}.gathered"),
            relevance={cache: dict(scores) for cache, scores in block.relevance.items()},
        )

    def _parts(self, conditions: Conditions | None) -> dict[str, int] | None:
        return None if conditions is None else {name: self._condition(one) for name, one in conditions.items()}

    def _condition(self, condition: Condition) -> int:
        if type(condition) is not Condition:
            raise UnsupportedError(
                f"A condition of the model is a {type(condition).__qualname__}, whose fields would be lost. "
                "Models keep what they want to remember in `Condition.memo`."
            )
        if (known := self._conditions.get(id(condition))) is not None:
            return known[0]
        index = len(self._conditions)
        tokens = self._sources.add(condition.tokens, f"conditions.{index}.tokens")
        self._conditions[id(condition)] = (index, ConditionEntry(tokens=tokens, memo=condition.memo))
        return index

    def _committed(self, committed: Mapping[int, Tensor]) -> CommittedEntry | None:
        if not committed:
            return None
        return CommittedEntry(latents=tuple(committed), values=self._rows(list(committed.values()), "committed"))

    def _means(self, means: Means, where: str) -> MeansEntry:
        keys = self._rows(list(means.keys.values()), f"{where}.keys") if means.keys else None
        return MeansEntry(
            latents=tuple(means.keys), keys=keys, queries=self._optional(means.queries, f"{where}.queries")
        )

    def _surplus(self, surplus: Block | None) -> SurplusEntry | None:
        if surplus is None:
            return None
        return SurplusEntry(
            index=surplus.index,
            frames=self._sources.add(surplus.frames, "surplus.frames", stays_on_host=True),
            span=(surplus.latents.start, surplus.latents.stop),
        )

    def _rows(self, rows: list[Tensor], name: str) -> str:
        first = rows[0]
        return self._sources.add_parts(lambda: rows, name, dtype=first.dtype, shape=(len(rows), *first.shape))

    def _optional(self, tensor: Tensor | None, name: str) -> str | None:
        return None if tensor is None else self._sources.add(tensor, name)
