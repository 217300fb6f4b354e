"""A pass whose layers lie on several ranks: its parts follow one another through the stages, several at a time.

A part is one world's; where every entry sees of the others what they have written before it alone, it is one entry of
one world's. While the second stage has the first part, the first stage has the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from inferix_core.contracts.model import PassInput
    from inferix_core.contracts.parallel import StagedModel
    from inferix_core.runtime.context import PassContext
    from inferix_core.runtime.spread import Sharded


def staged_forward(
    spread: Sharded, model: StagedModel, pass_input: PassInput, context: PassContext, *, predicts: bool
) -> Tensor | None:
    """See `Spread.forward`. The last stage predicts and tells all ranks."""
    layers, rank = spread.share.layers, spread.ranks.rank
    is_first, is_last = layers.start == 0, layers.stop == len(model.layers)
    predictions: list[Tensor] = []
    sent: list[tuple[dist.Work | None, Tensor]] = []
    for part_input, part in parts(pass_input, context):
        state = model.embed(part_input)
        if not is_first:
            arriving = torch.empty_like(model.tokens(state)).contiguous()
            dist.recv(arriving, rank - 1)
            state = model.with_tokens(state, arriving)
        for index in layers:
            state = model.layers[index](state, part.at(index))
        if not is_last:
            leaving = model.tokens(state).contiguous()
            sent.append((dist.isend(leaving, rank + 1), leaving))  # kept until it has left
        elif predicts:
            predictions.append(model.head(state))
    for work, _ in sent:
        if work is not None:
            work.wait()
    if not predicts:
        return None
    if is_last:
        prediction = _assembled(predictions, num_worlds=len(pass_input.latents)).contiguous()
    else:
        prediction = torch.empty_like(pass_input.latents, dtype=model.latent_dtype).contiguous()
    dist.broadcast(prediction, src=len(spread.shares) - 1)
    return prediction


def parts(pass_input: PassInput, context: PassContext) -> Iterator[tuple[PassInput, PassContext]]:
    """The parts of a pass, in the order in which they may run."""
    num_entries = len(pass_input.entry_lengths)
    groups: Sequence[range] = [range(num_entries)]
    if context.can_be_cut_by_entry():
        groups = [range(place, place + 1) for place in range(num_entries)]
    for world in range(len(pass_input.latents)):
        for entries in groups:
            yield _part(pass_input, world, entries), context.part(world, entries)


def _part(whole: PassInput, world: int, entries: range) -> PassInput:
    """What a model is given for these entries of one world."""
    start = sum(whole.entry_lengths[: entries.start])
    end = sum(whole.entry_lengths[: entries.stop])
    return replace(
        whole,
        latents=whole.latents[world : world + 1, start:end],
        times=[whole.times[world][start:end]],
        positions=[whole.positions[world][start:end]],
        conditions=[whole.conditions[world][entries.start : entries.stop]],
        branches=whole.branches[entries.start : entries.stop],
        entry_lengths=whole.entry_lengths[entries.start : entries.stop],
        num_blocks_left=[of_world[entries.start : entries.stop] for of_world in whole.num_blocks_left[world:][:1]],
    )


def _assembled(predictions: Sequence[Tensor], *, num_worlds: int) -> Tensor:
    """Predictions of parts as `[B, L, C, h, w]`."""
    per_world = len(predictions) // num_worlds
    rows = [torch.cat(list(predictions[b * per_world : (b + 1) * per_world]), dim=1) for b in range(num_worlds)]
    return torch.cat(rows)
