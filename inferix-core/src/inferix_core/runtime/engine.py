"""The engine: a loaded model with the chosen plugins. It makes worlds and steps them; it holds no world's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from inferix_core.runtime import steering
from inferix_core.runtime.beginning import beginning_of, check_no_beginning, check_plan
from inferix_core.runtime.building import build_parts, choose_device, choose_dtype, choose_overlap
from inferix_core.runtime.decoding import Decoding
from inferix_core.runtime.denoising import Denoising
from inferix_core.runtime.journal import keep_boundaries
from inferix_core.runtime.lockstep import grouped
from inferix_core.runtime.log import SeedRecord
from inferix_core.runtime.loop import Parts
from inferix_core.runtime.noise import CounterNoise, NoiseSource, checked_seed
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
    ) -> None:
        """From components that stand already; `seed` and `num_rewind_blocks` are those of new worlds.

        `overlap_decode` lets runs decode a block while the next is denoised: their store must provide "fork".
        `timings` makes what the spans of a step run in, for benches that watch more than the host's time.
        """
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
        """From a resolved configuration; mistakes show before weights are read."""
        device = choose_device(config.run.device)
        dtype = choose_dtype(config.run.dtype, device)
        overlap_decode = choose_overlap(config, device)
        parts, decoder = build_parts(config, catalog, device=device, dtype=dtype)
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
        seed = self._seed if seed is None else checked_seed(seed)
        if num_blocks is not None and num_blocks < 1:
            raise ConfigError(f"A world has at least 1 block; num_blocks = {num_blocks} was asked for.")
        if frames is not None:
            if prefix is not None or conditions is not None:
                raise ConfigError("A world begins with frames, or with a prefix and conditions that were made of some.")
            begun = beginning_of(self, frames, fit=fit)
            prefix, conditions = begun.latents, begun.conditions or None
        elif not conditions and self._config is not None:
            check_no_beginning(self._config.model)
        if prefix is not None:
            prefix = self._checked_prefix(prefix)
        state = WorldState(id=self.next_id(), noise=noise or CounterNoise(seed), prefix=prefix, horizon=num_blocks)
        state.conditions, state.beginning = conditions, conditions or {}
        if noise is None:
            state.log.add(SeedRecord(0, seed))
        check_plan(self._parts.planner, state.progress)  # what cannot be planned is said now, not blocks later
        if prompt is not None:
            self.queue_signal(state, Signal(prompt=prompt))
        return self.world_of(state)

    def world_of(self, state: WorldState) -> World:
        """The world with that state, which must not belong to another; it can be rewound to this moment."""
        world = World(self, state)
        if (boundary := world.journal.boundary(state)) is not None:
            world.journal.keep(boundary)
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

        return load_world(self, Path(path))

    def check_signal(self, signal: Signal) -> None:
        """Raises `SignalError` if the model does not understand the signal."""
        self._check_guidance(signal)
        with torch.inference_mode():
            self._parts.model.encode(signal, None)

    def queue_signal(self, state: WorldState, signal: Signal) -> None:
        """Encodes a signal for the next block that begins; `SignalError`, and nothing changed, if it makes no sense."""
        if not isinstance(signal, Signal):
            raise SignalError(f"A world is told a Signal, e.g. Signal(prompt=…) or Signal(action=…); found {signal!r}.")
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
        self._check_batch(worlds, signals)
        states = [world.state for world in worlds]
        blocks: dict[int, Block] = {}
        with Transaction(states) as transaction:
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

        A profiler that fails costs a warning.
        """
        self._decoding.close()
        for profiler in self._parts.profilers:
            try:
                profiler.close()
            except Exception as error:  # a profiler's fault must not cost the user what was generated
                logger.warning(f"The profiler {type(profiler).__name__} could not write what it measured: {error}")

    def _check_guidance(self, signal: Signal) -> None:
        if self._config is not None:
            steering.check_guidance(signal, self._config.model)

    def _check_batch(self, worlds: Sequence[World], signals: Sequence[Signal | None]) -> None:
        if len(signals) != len(worlds):
            raise ConfigError(
                f"{len(worlds)} worlds were given with {len(signals)} signals. Give one for each; it may be None."
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
        decoded = self._decoding.decode(block, state.decoder_state, timings=timings, world_id=state.id)
        state.decoder_state = decoded.state
        state.num_frames += len(decoded.frames)
        state.log.add_block(block.block, decoded.frames)
        return Block(block.block, decoded.frames, block.span, block.signal_ids, timings, state.id)

    def _checked_prefix(self, prefix: Tensor) -> Tensor:
        expected = self.geometry.latent_shape
        if prefix.ndim != 4 or tuple(prefix.shape[1:]) != expected:
            raise ConfigError(
                f"A prefix is latents of shape [L, {', '.join(map(str, expected))}]; found {list(prefix.shape)}."
            )
        return prefix.detach().to(self._parts.device, self._parts.model.latent_dtype, copy=True)
