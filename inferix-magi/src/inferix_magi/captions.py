"""What each block reads of text: its caption with learned rows before it, or the learned empty caption.

Letters: B worlds, T caption rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from inferix_core.contracts.model import Condition, PassInput
from torch import Tensor

from inferix_magi.guidance import TEXT
from inferix_magi.transformer.transformer import MagiTransformer

CAPTION = "text"
"""The part of a block's conditions that holds its caption: tokens `[1, T, text_hidden_dim]`."""

_NUM_NULL_ROWS = 50
"""Rows of the empty caption that are read."""


@dataclass(frozen=True, slots=True, eq=False)
class SpecialTokens:
    """Learned rows `[T, text_dim]` that stand before a caption, or before the empty one.

    `leading` come before every caption, e.g. "high quality"; of `durations` one does, the first before the last block
    of a world and the last before all that have at least as many blocks to come; `negative` come before the empty
    caption. Each may have no rows.
    """

    leading: Tensor
    durations: Tensor
    negative: Tensor


class Captions:
    """Makes the captions that a transformer's entries read. Those without a prompt are the same for all worlds."""

    @torch.no_grad()
    def __init__(self, transformer: MagiTransformer, special: SpecialTokens | None = None) -> None:
        null = transformer.y_embedder.null_caption_embedding
        nothing = null.new_zeros(0, null.shape[1])
        special = special or SpecialTokens(nothing, nothing, nothing)
        self._transformer = transformer
        self._leading = special.leading.to(null)
        self._durations = [self._condition(row.unsqueeze(0)) for row in special.durations.to(null)]
        self._null = self._condition(torch.cat([special.negative.to(null), null])[:_NUM_NULL_ROWS])

    @torch.no_grad()
    def caption(self, rows: Tensor) -> Condition:
        """The part of the conditions that rows [T, text_dim] of the text encoder make; cut where they are too many."""
        if len(rows) == 0:
            return self._condition(rows)
        room = self._transformer.config.text_len - (1 if self._durations else 0)
        return self._condition(torch.cat([self._leading, rows.to(self._leading)])[:room])

    def chosen(self, pass_input: PassInput) -> list[list[list[Condition]]]:
        """What each entry of each world reads; a caption without rows, or a block without one, reads the empty one."""
        num_left = pass_input.num_blocks_left or [[None] * len(pass_input.branches)] * len(pass_input.conditions)
        chosen = []
        for of_world, left in zip(pass_input.conditions, num_left, strict=True):
            of_entries = zip(pass_input.branches, of_world, left, strict=True)
            chosen.append([self._read(branch, one.get(CAPTION), num) for branch, one, num in of_entries])
        return chosen

    def _read(self, branch: str, caption: Condition | None, num_blocks_left: int | None) -> list[Condition]:
        if branch != TEXT or caption is None or caption.tokens.shape[1] == 0:
            return [self._null]
        return [*self._duration(num_blocks_left), caption]

    def _duration(self, num_blocks_left: int | None) -> Sequence[Condition]:
        if not self._durations:
            return ()
        longest = len(self._durations)
        num_told = longest if num_blocks_left is None else min(num_blocks_left, longest)
        return self._durations[num_told - 1 : num_told]

    def _condition(self, rows: Tensor) -> Condition:
        return Condition(self._transformer.embed_caption(rows))
