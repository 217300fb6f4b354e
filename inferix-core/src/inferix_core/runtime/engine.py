"""The engine: a loaded model with the chosen plugins. It makes worlds and steps them; it holds no world's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from loguru import logger
from torch import Tensor

from inferix_core.catalog import Catalog
from inferix_core.configuration import ResolvedConfig, apply_overrides, load_toml, resolve
from inferix_core.errors import ConfigError, SignalError
from inferix_core.events import Block, BlockRun, Timings
from inferix_core.plan import Geometry, Op
from inferix_core.ranks.joining import Membership, join
from inferix_core.runtime import steering
from inferix_core.runtime.building import build_parts, choose_dtype, choose_overlap
from inferix_core.runtime.company import Company, building_together
from inferix_core.runtime.creating import new_world
from inferix_core.runtime.decoding import Decoding
from inferix_core.runtime.denoising import Denoising
from inferix_core.runtime.finished import Finished
from inferix_core.runtime.journal import keep_boundaries
from inferix_core.runtime.lockstep import grouped
from inferix_core.runtime.loop import Parts
from inferix_core.runtime.noise import NoiseSource
from inferix_core.runtime.split_decoding import SplitDecoding
from inferix_core.runtime.state import WorldState
from inferix_core.runtime.threads import Threads
from inferix_core.runtime.transaction import Transaction
from inferix_core.runtime.world import World
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from inferix_core.contracts.decoder import Decoder
    from inferix_core.contracts.model import Conditions
    from inferix_core.contracts.profiler import Profiler
    from inferix_core.contracts.streamer import Streamer
    from inferix_core.runtime.finished import Finished


class Engine:
    """Holds weights and the chosen components. `Engine.load` is the usual way to get one."""

    def __init__(
        self,
        parts: Parts,
        decoder: Decoder,
        *,
        seed: int = 0,
        num_rewind_blocks: int = 0,
        threads: Threads | None = None,
        config: ResolvedConfig | None = None,
        catalog: Catalog | None = None,
        timings: Callable[[], Timings] = Timings,
        overlap_decode: bool = False,
        membership: Membership | None = None,
    ) -> None:
        """From components that stand already; `seed` and `num_rewind_blocks` are those of new worlds.

        `overlap_decode` lets runs decode a block while the next is denoised: their store must provide "fork".
        `timings` makes what the spans of a step run in, for benches that watch more than the host's time. `membership`
        is this process among the ranks of its run; it is ended with the engine.
        """
        self._company = None if membership is None or membership.line is None else Company(membership)
        self._threads = threads or Threads()
        self._parts = parts
        self._decoder = decoder
        self._seed = seed
        self._num_rewind_blocks = num_rewind_blocks
        self._config = config
        self._catalog = catalog
        self._overlaps_decode = overlap_decode
        self._new_timings = timings
        self._denoising = Denoising(parts, num_threads=self._threads.network)
        self._decoding = Decoding(
            decoder, geometry=parts.model.geometry, device=parts.device, num_threads=self._threads.decoder
        )
        self._ids = count()

    @classmethod
    def build(cls, config: ResolvedConfig, catalog: Catalog) -> Engine:
        """From a resolved configuration; mistakes show before weights are read.

        Where the configuration names a parallel strategy and torchrun has started several ranks, this one joins the
        others: rank 0 is the driver, the others are to `follow`. Raises `RankError` where they are not alike.
        """
        membership = join(config, catalog)
        device = membership.ranks.device
        dtype = choose_dtype(config.run.dtype, device)
        overlap_decode = choose_overlap(config, device, num_ranks=membership.ranks.num_ranks)
        with building_together(membership):
            parts, decoder = build_parts(config, catalog, membership=membership, dtype=dtype)
        threads = Threads(network=config.run.num_threads, decoder=config.run.num_decoder_threads)
        return cls(
            parts,
            decoder,
            seed=config.run.seed,
            num_rewind_blocks=config.run.world.num_rewind_blocks,
            threads=threads,
            config=config,
            catalog=catalog,
            overlap_decode=overlap_decode,
            membership=membership,
        )

    @classmethod
    def load(
        cls,
        model: str | None = None,
        *,
        config: str | Path | Mapping[str, Any] | None = None,
        overrides: Sequence[str] = (),
        catalog: Catalog | None = None,
    ) -> Engine:
        """An engine for `model` (default: the default model), a TOML file or a mapping, and `key=value` overrides.

        Raises `ConfigError` for anything that does not fit and `CheckpointError` for weights that cannot be used.
        """
        catalog = catalog or Catalog.discover()
        raw: Mapping[str, Any] = load_toml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
        if model is not None:
            raw = {**raw, "model": {**raw.get("model", {}), "use": model}}
        return cls.build(resolve(apply_overrides(raw, overrides), catalog), catalog)

    @property
    def geometry(self) -> Geometry:
        """Sizes of what the model makes."""
        return self._parts.model.geometry

    @property
    def parts(self) -> Parts:
        """The components that the loop works with, for benches and tools."""
        return self._parts

    @property
    def threads(self) -> Threads:
        """The CPU threads that a step uses."""
        return self._threads

    @property
    def decoder(self) -> Decoder:
        """The decoder that turns latents into frames."""
        return self._decoder

    @property
    def denoising(self) -> Denoising:
        """The first half of a step."""
        return self._denoising

    @property
    def decoding(self) -> Decoding:
        """The second half of a step."""
        return self._decoding

    @property
    def overlaps_decode(self) -> bool:
        """Whether `World.run` decodes a block while it denoises the next one."""
        return self._overlaps_decode

    @property
    def config(self) -> ResolvedConfig | None:
        """The configuration that the engine was built from, if it was."""
        return self._config

    @property
    def catalog(self) -> Catalog | None:
        """What is installed, if the engine was built from it."""
        return self._catalog

    @property
    def num_rewind_blocks(self) -> int:
        """How many blocks a world can be rewound by."""
        return self._num_rewind_blocks

    @property
    def num_kv_bytes(self) -> int:
        """Bytes of device memory that the keys and values of all worlds take, shared pages counted once.

        The store may have taken more from the system: `engine.parts.store.num_reserved_bytes`.
        """
        return self._parts.store.num_bytes

    @property
    def profilers(self) -> tuple[Profiler, ...]:
        """The configured profilers, in the order of the configuration, for spans and metrics of one's own."""
        return self._parts.profilers

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self._parts.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the model runs in."""
        return self._parts.model.dtype

    def create_world(
        self,
        prompt: str | None = None,
        *,
        seed: int | None = None,
        prefix: Tensor | None = None,
        frames: Tensor | None = None,
        fit: str | None = None,
        conditions: Conditions | None = None,
        num_blocks: int | None = None,
        noise: NoiseSource | None = None,
    ) -> World:
        """A new world at its beginning.

        `seed` defaults to the configured one; `prefix` are clean latents `[L, C, h, w]` that the world starts
        with, copied; `frames` are a picture `[1, h, w, 3]` or a video `[T, h, w, 3]` of any size, uint8, to begin with
        instead, where the model and the decoder can, and `fit` says whether they are cut ("crop"), framed ("pad") or
        stretched ("stretch") where their aspect ratio is another, None what the model does; `conditions` are parts that
        hold from the start, e.g. what a model has made of a picture; `num_blocks` is the horizon for planners that need
        one; `noise` replaces the seeded noise.
        Raises `ConfigError`, `SignalError`, `UnsupportedError` or, for a prefix or horizon that cannot be planned,
        `PlanError`.
        """
        return new_world(
            self,
            prompt,
            seed=self._seed if seed is None else seed,
            prefix=prefix,
            frames=frames,
            fit=fit,
            conditions=conditions,
            num_blocks=num_blocks,
            noise=noise,
        )

    def world_of(self, state: WorldState) -> World:
        """The world with that state, which must not belong to another; it can be rewound to this moment."""
        world = World(self, state)
        if (boundary := world.journal.boundary(state)) is not None:
            world.journal.keep(boundary)
        if self._company is not None:
            self._company.enter(world)
        return world

    def new_timings(self) -> Timings:
        """What the spans of one step run in."""
        return self._new_timings()

    def next_id(self) -> str:
        """A name that no world of this engine has had."""
        return f"world-{next(self._ids)}"

    def load_world(self, path: str | Path) -> World:
        """The world in a file that `World.save` wrote, as it was: going on gives the frames that it would have made.

        The world may have lain in another store; its codec must be the engine's, or the engine must keep pages as they
        are. Raises `WorldFileError` for a file that is damaged, of an unknown version, or of another model, naming
        what is wrong, before anything is loaded; `UnsupportedError` for pages of a codec that cannot go back;
        `CapacityError` where there is no room. Then the engine is as it was.
        """
        from inferix_core.runtime.saving import load_world

        self.check_drives()
        if self._company is None:
            return load_world(self, Path(path))
        return self._company.load(lambda: load_world(self, Path(path)), Path(path))

    @property
    def follows(self) -> bool:
        """Whether this process is a rank that does what the driver says: `follow` is all that it may do."""
        return self._company is not None and not self._company.is_driver

    def follow(self) -> None:
        """Does what rank 0 does until its engine is closed. Raises `RankError` when a rank is gone."""
        if self._company is None or self._company.is_driver:
            raise ConfigError("This rank follows none: it is the only one, or the driver.")
        self._company.follow(self)

    @property
    def company(self) -> Company | None:
        """The engines of the other ranks, None where there are none; for the engine's own parts."""
        return self._company

    def check_drives(self) -> None:
        """Raises `ConfigError` on a rank that follows, where it is not the driver that tells it what to do."""
        if self._company is not None:
            self._company.check_drives()

    def together(self, operation: str, **told: Any) -> AbstractContextManager[None]:
        """Around what every rank does to a world; the followers are `told` of it. For the engine's own parts."""
        return nullcontext() if self._company is None else self._company.together(operation, told)

    def forget(self, world: World) -> None:
        """Lets the followers close a world that is closed here; for worlds."""
        if self._company is not None:
            self._company.forget(world)

    def check_signal(self, signal: Signal) -> None:
        """Raises `SignalError` if the model does not understand the signal."""
        self._check_guidance(signal)
        with torch.inference_mode():
            self._parts.model.encode(signal, None)

    def queue_signal(self, state: WorldState, signal: Signal) -> None:
        """Encodes a signal for the next block that begins; `SignalError`, and nothing changed, if it makes no sense."""
        self._check_guidance(signal)
        if not signal.is_empty:
            with torch.inference_mode():
                steering.queue(state, signal, model=self._parts.model)

    def step(self, worlds: Sequence[World], signals: Sequence[Signal | None] | None = None) -> list[Block]:
        """The next block of each world; worlds whose plans have the same shape share the network's passes.

        When anything raises, every world is as it was before, and has not heard of its signal. A block begins
        with the frames that the world's last run left over, if any.
        """
        signals = signals or [None] * len(worlds)
        self.check_drives()
        self._check_batch(worlds, signals)
        states = [world.state for world in worlds]
        blocks: dict[int, Block] = {}
        told = {
            "worlds": [world.id for world in worlds],
            "signals": [None if signal is None else asdict(signal) for signal in signals],
        }
        with self._uninterrupted(), Transaction(states) as transaction, self.together("step", **told):
            for state, signal in zip(states, signals, strict=True):
                if signal is not None:
                    self.queue_signal(state, signal)
            plans = [self._denoising.plan(state) for state in states]
            for indices in grouped(plans):
                made = self._step_group([states[i] for i in indices], [plans[i] for i in indices], transaction)
                blocks.update(zip(indices, made, strict=True))
            keep_boundaries(worlds)
        for block in blocks.values():
            self._parts.relay.frames(block)
        return [world.after_surplus(blocks[index]) for index, world in enumerate(worlds)]

    def open_output(self, target: str | Path, *, overrides: Mapping[str, Any] | None = None) -> Streamer:
        """An opened streamer for a path or address, chosen by its suffix; `OutputError` if it cannot be written."""
        from inferix_core.runtime.output import open_output  # streamers are no part of stepping a world

        return open_output(
            str(target), geometry=self.geometry, catalog=self._catalog or Catalog.discover(), options=overrides or {}
        )

    def report(self, summary: Mapping[str, Any]) -> None:
        """Tells the observers what a finished run measured."""
        self._parts.relay.report(summary)

    def close(self) -> None:
        """Ends the decoder's thread and closes the profilers, which write what they measured. Safe to call twice.

        A profiler that fails costs a warning. Where there are several ranks, it ends what `follow` does on the others.
        """
        self._decoding.close()
        if self._company is not None:
            self._company.leave()
        for profiler in self._parts.profilers:
            try:
                profiler.close()
            except Exception as error:  # a profiler's fault must not cost the user what was generated
                logger.warning(f"The profiler {type(profiler).__name__} could not write what it measured: {error}")

    def _check_guidance(self, signal: Signal) -> None:
        if self._config is not None:
            steering.check_guidance(signal, self._config.model)

    def _uninterrupted(self) -> AbstractContextManager[object]:
        return nullcontext() if self._company is None else self._company.uninterrupted()

    def _check_batch(self, worlds: Sequence[World], signals: Sequence[Signal | None]) -> None:
        if len(signals) != len(worlds):
            raise ConfigError(
                f"{len(worlds)} worlds were given with {len(signals)} signals. Give one for each; it may be None."
            )
        if wrong := [signal for signal in signals if not (signal is None or isinstance(signal, Signal))]:
            raise SignalError(
                f"A world is told a Signal, e.g. Signal(prompt=…) or Signal(action=…); found {wrong[0]!r}."
            )
        if any(world.engine is not self for world in worlds):
            raise ConfigError("A world can be stepped by the engine alone that created it.")
        twice = sorted({world.id for world in worlds if sum(other is world for other in worlds) > 1})
        if twice:
            raise ConfigError(f"A world makes one block in a step, but {', '.join(twice)} was given more than once.")

    def _step_group(
        self, states: Sequence[WorldState], plans: Sequence[Sequence[Op]], transaction: Transaction
    ) -> list[Block]:
        timings = self._new_timings()
        run = BlockRun([state.id for state in states], [state.num_finished for state in states])
        with torch.inference_mode(), self._parts.relay.run_block(run):
            finished = self._denoising.run(states, plans, transaction=transaction, timings=timings)
            return [self._decoded(state, block, timings) for state, block in zip(states, finished, strict=True)]

    def _decoded(self, state: WorldState, block: Finished, timings: Timings) -> Block:
        if self.follows and not isinstance(self._decoder, SplitDecoding):
            size = (0, self.geometry.frame_height, self.geometry.frame_width, 3)
            pixels = torch.empty(size, dtype=torch.uint8)
            return Block(block.block, pixels, block.span, block.signal_ids, timings, state.id)
        with self._denoising.spread.collective():
            decoded = self._decoding.decode(block, state.decoder_state, timings=timings, world_id=state.id)
        state.decoder_state = decoded.state
        state.num_frames += len(decoded.frames)
        if not self.follows:
            state.log.add_block(block.block, decoded.frames)
        return Block(block.block, decoded.frames, block.span, block.signal_ids, timings, state.id)
