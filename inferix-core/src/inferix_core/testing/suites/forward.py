"""One pass of a model over a block of each world, the way the loop makes it.

Letters: B worlds, L latents, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inferix_core.contracts.kv import KVCache
from inferix_core.contracts.model import Conditions, Model, PassInput
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import Entry, Level, Pass
from inferix_core.runtime.context import PassContext
from inferix_core.runtime.sight import Sight
from inferix_core.runtime.spread import Spread, Whole
from inferix_core.specs import ComponentConfig


@torch.no_grad()
def forward(
    model: Model,
    latents: Sequence[Tensor],
    *,
    caches: Sequence[KVCache],
    conditions: Sequence[Conditions],
    time: float,
    first_latent: int,
    spread: Spread | None = None,
) -> Tensor:
    """The prediction `[B, L, C, h, w]`; the drafts are left in the caches, which begin the block here.

    `spread` is how the worlds lie over ranks, where they do.
    """
    spread = spread or Whole(model.layout.tokens_per_latent)
    span = range(first_latent, first_latent + len(latents[0]))
    block = first_latent // len(span)
    one = Pass((Entry(block, span, first_latent, Level(0, time, 1.0)),))
    for cache in caches:
        cache.reserve(span)
    of_entries = [[of_world] for of_world in conditions]
    context = PassContext(
        [one] * len(latents),
        caches=caches,
        conditions=of_entries,
        sight=Sight(FullPolicy(ComponentConfig())),
        backend=SdpaBackend(ComponentConfig()),
        tokens_per_latent=model.layout.tokens_per_latent,
        spread=spread,
    )
    pass_input = PassInput(
        latents=latents[0].unsqueeze(0) if len(latents) == 1 else torch.stack(list(latents)),
        times=[[time] * len(span)] * len(latents),
        positions=context.positions,
        conditions=of_entries,
        branches=["signal"],
        entry_lengths=[len(span)],
    )
    prediction = spread.forward(model, pass_input, context, predicts=True)
    assert prediction is not None, "it was asked for"
    return prediction
