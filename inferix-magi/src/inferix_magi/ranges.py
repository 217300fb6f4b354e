"""The `magi-ranges` policy: how far back a block sees depends on how noisy it is."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError
from inferix_core.plan import Entry

from inferix_magi.config import MagiRangesConfig
from inferix_magi.planner import MagiPlanner


class MagiRanges:
    """Ranges are counted in blocks and include the block itself (`noise2clean_kvrange` of MAGI-1).

    A level whose index is the planner's `num_steps` or more is clean. Raises `ConfigError` for another planner, and for
    steps that the ranges do not divide evenly.
    """

    def __init__(self, config: MagiRangesConfig, *, planner: Planner) -> None:
        if not isinstance(planner, MagiPlanner):
            raise ConfigError(
                "kv.policy: 'magi-ranges' follows the steps of the planner 'magi', but the planner is "
                f"{type(planner).__name__}. Choose another policy, or that planner."
            )
        self._config = config
        self._planner = planner.config
        self._check_parts()
        self._reach = self._farthest()

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """Of the ascending `held`, those that any block in flight may still see when `upcoming` begins."""
        if self._reach is None:
            return held
        first = upcoming.stop - self._reach * self._planner.num_block_latents
        return [latent for latent in held if latent >= first]

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """The latents of as many blocks up to the entry's end as its level allows."""
        num_blocks = self._num_blocks(entry.level.index)
        if num_blocks is None:
            return available
        first = entry.latents.stop - num_blocks * self._planner.num_block_latents
        return [latent for latent in available if latent >= first]

    def capacity(self, num_block_latents: int) -> int | None:
        """Room for everything that a block in flight sees, and at least for all that are in flight."""
        if self._reach is None:
            return None
        return max(self._reach * self._planner.num_block_latents, num_block_latents)

    def _num_blocks(self, level_index: int) -> int | None:
        """How many blocks are seen at a level; None where there is no bound."""
        parts = self._config.num_visible_blocks
        if level_index >= self._planner.num_steps:
            clean = self._config.num_visible_blocks_clean
            return clean if clean is not None else (parts[-1] if parts else None)
        return parts[level_index // (self._planner.num_steps // len(parts))] if parts else None

    def _farthest(self) -> int | None:
        """Blocks from the newest in flight back to the oldest that any block in flight sees; None: no bound."""
        window = self._planner.num_blocks_in_flight
        num_stage_steps = self._planner.num_steps // window
        # The block that has just finished is committed while the newest one begins: it is one place further on.
        clean = self._num_blocks(self._planner.num_steps)
        reaches = [None if clean is None else window + clean]
        for level_index in range(self._planner.num_steps):
            num_blocks = self._num_blocks(level_index)
            reaches.append(None if num_blocks is None else level_index // num_stage_steps + num_blocks)
        bounded = [reach for reach in reaches if reach is not None]
        return max(bounded) if len(bounded) == len(reaches) else None

    def _check_parts(self) -> None:
        num_parts, num_steps = len(self._config.num_visible_blocks), self._planner.num_steps
        if num_parts and num_steps % num_parts:
            raise ConfigError(
                f"kv.policy: the planner's num_steps = {num_steps} cannot be cut into {num_parts} equal parts, one for "
                "each value of num_visible_blocks. Choose other steps, or another number of values."
            )
