"""What a run asks of its ranks for each block, in numbers: what a parallel strategy is chosen by. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Protocol

from inferix_core.contracts.parallel import BY_HEADS, ParallelStrategy, Share
from inferix_core.plan import Geometry, KVLayout

if TYPE_CHECKING:
    import torch

_ITEM_BYTES = {
    name: size
    for size, names in {
        1: ("int8", "uint8", "bool", "float8_e4m3fn", "float8_e5m2"),
        2: ("float16", "bfloat16", "int16"),
        4: ("float32", "int32"),
        8: ("float64", "int64"),
    }.items()
    for name in names
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a model is without its weights: sizes that its configuration says.

    `width` values of a token pass from layer to layer. Every token is multiplied with `num_layer_weights` weights in
    each layer and attends to `num_condition_tokens` tokens of conditions there. The network has `num_weights` in all.
    """

    geometry: Geometry
    layout: KVLayout
    num_heads: int
    width: int
    num_layer_weights: int
    num_weights: int
    num_condition_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EntryShape:
    """One block's part in a pass: its latents, and how many latents it attends to, its own included."""

    num_latents: int
    num_visible_latents: int


@dataclass(frozen=True, slots=True)
class PassShape:
    """One pass of a world; `predicts` where the network's head runs."""

    entries: tuple[EntryShape, ...]
    predicts: bool = True

    @property
    def num_latents(self) -> int:
        """The latents that pass through the layers."""
        return sum(entry.num_latents for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A steady block of one world: its passes, and what is held meanwhile.

    `num_held_latents` are those of all caches together. Activations have `item_bytes` a value; a page takes `kv_share`
    of the bytes that its layout has at that precision (a codec makes it smaller). `shards_tokens` and `stages_layers`
    say that the model provides "token-sharding" and "layer-stages".
    """

    outline: Outline
    passes: tuple[PassShape, ...]
    num_held_latents: int
    item_bytes: int
    kv_share: float = 1.0
    shards_tokens: bool = True
    stages_layers: bool = True

    @property
    def num_blocks_in_flight(self) -> int:
        """The most blocks that one pass denoises."""
        return max((len(one.entries) for one in self.passes), default=1)

    @property
    def num_head_values(self) -> float:
        """Values of the prediction for each token."""
        geometry = self.outline.geometry
        return prod(geometry.latent_shape) / geometry.tokens_per_latent

    def page_bytes(self, layout: KVLayout) -> float:
        """Bytes of a latent's pages in all layers of `layout`, the model's or what a rank keeps of it."""
        return layout.num_layers * self.kv_share * latent_bytes(layout, item_bytes=self.item_bytes)

    def engine_bytes(self, passed: PassShape, shares: Sequence[Share]) -> list[float]:
        """By rank, what the engine itself sends in a pass of one world, beside what the strategy does.

        Where ranks have different layers it is tokens, to the next rank, and the prediction, which the last one tells.
        Where they have shares of tokens it is their part of the prediction; of models whose layers run on all tokens it
        is what each layer has attended to, which all ranks need.
        """
        outline, others = self.outline, len(shares) - 1
        num_tokens = passed.num_latents * outline.layout.tokens_per_latent
        of_prediction = self.item_bytes * self.num_head_values * passed.predicts
        if any(len(share.layers) < outline.layout.num_layers for share in shares):
            return [num_tokens * outline.width * self.item_bytes] * others + [others * num_tokens * of_prediction]
        of_token = of_prediction if self.shards_tokens else self.item_bytes * outline.width * outline.layout.num_layers
        if all(len(share.tokens) == outline.layout.tokens_per_latent for share in shares):
            return [0.0] * len(shares)
        return [others * passed.num_latents * len(share.tokens) * of_token for share in shares]


class CountedStrategy(ParallelStrategy, Protocol):
    """A strategy whose spec provides "counted": it says what it sends, so that a measurement can be held against it."""

    def num_bytes_sent(self, passed: PassShape, *, dtype: torch.dtype) -> Sequence[int]:
        """By rank, bytes that `exchange`, `attend` and `restore` of one layer send for one world's pass.

        Tensors alone are counted, in `dtype`; what the network adds to them is not.
        """


def outline_of_layout(geometry: Geometry, layout: KVLayout) -> Outline:
    """What a model probably is that does not say it: a transformer with feed-forward layers four times as wide.

    Its query heads are as many as its key heads, or one where it keeps keys of no heads.
    """
    fields = [layout.fields[name].shape for name in BY_HEADS if name in layout.fields]
    num_heads = fields[0][0] if fields else 1
    width = prod(fields[0]) if fields else max(prod(field.shape) for field in layout.fields.values())
    return Outline(
        geometry=geometry,
        layout=layout,
        num_heads=num_heads,
        width=width,
        num_layer_weights=12 * width**2,
        num_weights=12 * width**2 * layout.num_layers,
    )


def latent_bytes(layout: KVLayout, *, item_bytes: int) -> int:
    """Bytes of one latent's page of one layer; fields without a dtype of their own take `item_bytes` a value."""
    return sum(
        prod(layout.page_shape(name)) * (item_bytes if field.dtype is None else _ITEM_BYTES[field.dtype])
        for name, field in layout.fields.items()
    )
