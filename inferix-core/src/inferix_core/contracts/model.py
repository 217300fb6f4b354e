"""Models: how latents become tokens, what a layer does, how tokens become a prediction.

Letters: B worlds, L latents of a pass, C channels, N tokens of a pass, T condition tokens,
H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from inferix_core.plan import Geometry, KVLayout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from inferix_core.contracts.attention import Segment
    from inferix_core.contracts.decoder import FrameEncoder
    from inferix_core.contracts.scheduler import Planner
    from inferix_core.signals import Signal


Fit = Literal["crop", "pad", "stretch"]
"""What becomes of a picture of another aspect ratio: `crop` cuts two sides off, `pad` lays black bars along two sides,
`stretch` gives the ratio up."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One named part of what steers a block, e.g. text: tokens `[1, T, width]`, immutable.

    `memo` is what the model wants to remember of the signal, as text (JSON where it is more than a phrase): it comes
    back with the tokens when a saved world is loaded. The cross-attention keys and values that layers make of a
    condition are kept beside it for as long as it lives, so forks share them and a change of prompt drops them with it.
    """

    tokens: Tensor
    memo: str = ""
    projected: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)


Conditions = Mapping[str, Condition]
"""All parts that steer one block, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class PassInput:
    """What a model is given for one pass over a batch of worlds.

    `latents` is `[B, L, C, h, w]` in the model's `latent_dtype`; `times` are one network time for each
    world and latent, `positions` one rotary position for each world and latent, Python numbers
    both. `conditions[b][e]` steers entry `e` of world `b`, under the guidance branch `branches[e]`;
    `entry_lengths` are the entries' numbers of latents, the same for every world; `step_size` is the
    pass's, for models that are told it. `num_blocks_left` says for each world and entry how many blocks the world has
    from the entry's on, itself included; None where the world has no end, empty where nobody says.
    """

    latents: Tensor
    times: Sequence[Sequence[float]]
    positions: Sequence[Sequence[int]]
    conditions: Sequence[Sequence[Conditions]]
    branches: Sequence[str]
    entry_lengths: Sequence[int]
    step_size: float | None = None
    num_blocks_left: Sequence[Sequence[int | None]] = ()


class Rotary(Protocol):
    """How a model rotates queries and keys."""

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]]) -> Tensor:
        """`x` `[B, N, H, D]` rotated for the temporal `positions` of its latents (one row for each world).

        Every position is valid: angles come from the formula at any index, not from a table's end.
        """


class LayerContext(Protocol):
    """What a layer may ask of the engine. It hides stores, policies, codecs, ranks and kernels."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        """Self-attention of the pass's tokens over all that their entries may see.

        `q` `[B, N, H, D]`, `k` and `v` `[B, N, Hkv, D]` are not yet rotated; the result is `[B, N, H, D]`.
        """

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Cross-attention of each entry's tokens over the named parts of its conditions, taken as one.

        `project` maps condition tokens `[1, T, width]` to keys and values `[1, T, H, D]`; it is called
        once for each part and layer as long as the part lives. Parts that an entry lacks are left out.
        """


class CompressedLayerContext(LayerContext, Protocol):
    """What the engine's context offers besides, to layers that keep their tokens in a compressed form."""

    def attend_compressed(
        self,
        q: Tensor,
        fields: Mapping[str, Tensor],
        *,
        expand: Callable[[Segment], tuple[Tensor, Tensor]],
        scale: float,
    ) -> Tensor:
        """Self-attention over what tokens keep in a compressed form (multi-head latent attention).

        `fields` `[B, N, ...]` are those of the layout; `expand` maps what is kept of some tokens, fields `[1, M, ...]`,
        to keys `[1, M, H or 1, D]` and values `[1, M, H or 1, Dv]`. `q` is `[B, N, H, D]`, the result `[B, N, H, Dv]`.
        Nothing is rotated: a layer rotates what it passes.
        """


class ChoosingLayerContext(LayerContext, Protocol):
    """What the engine's context offers besides, to layers whose entries attend to conditions of the model's choice."""

    def attend_chosen(
        self,
        q: Tensor,
        chosen: Sequence[Sequence[Sequence[Condition]]],
        project: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Cross-attention of each entry's tokens over conditions of its own, taken as one.

        Entry `e` of world `b` attends to `chosen[b][e]`, which may be parts of its conditions or belong to the model,
        e.g. those of a guidance branch; where there are none, the result is 0. `project` is as in `attend_conditions`.
        """


Layer = Callable[[Any, LayerContext], Any]
"""One layer: takes the pass's state and a context, returns the new state."""


class Model(Protocol):
    """A network as the loop sees it. Built as `implementation(config, *, device, dtype)`.

    A model whose spec provides "quantize" is also given `quantizer` where one is configured, and hands its weights
    to `inferix_core.weights.assign_weights` with it as they are read.

    The state that `embed` returns goes through every layer to `head`; it is the model's own.
    Models keep nothing between passes. `dtype` is the network's (and of its keys and values),
    `latent_dtype` that of the latents between passes.
    """

    geometry: Geometry
    layout: KVLayout
    dtype: torch.dtype
    latent_dtype: torch.dtype
    layers: Sequence[Layer]

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """The conditions for a block that `signal` reaches.

        `previous` are the conditions of the block before, or what an earlier signal for the same block has
        made of them; None at the start. Parts that the signal does not change are returned as the same
        objects. Raises `SignalError` for a signal the model does not understand, naming what it would.
        """

    def embed(self, pass_input: PassInput) -> Any:
        """Tokens and everything else the layers need, from one pass's input."""

    def head(self, state: Any) -> Tensor:
        """The prediction `[B, L, C, h, w]`, from the state after the last layer."""


class Beginning(Protocol):
    """What a world begins with: clean latents of its first blocks, and parts of its conditions that hold for good."""

    @property
    def latents(self) -> Tensor | None:
        """`[L, C, h, w]`, of a length that the planner goes on from; None where there are none."""

    @property
    def conditions(self) -> Conditions:
        """The parts, by name."""


class PrefixModel(Model, Protocol):
    """A model whose spec provides "image-prefix" or "video-prefix"."""

    def encode_prefix(self, frames: Tensor, *, fit: str | None, encoder: FrameEncoder, planner: Planner) -> Beginning:
        """A beginning made of a picture `[1, h, w, 3]` or a video `[T, h, w, 3]`, uint8, of any size.

        `fit` is one of `Fit`, or None for what the model does by itself. Raises `ConfigError` for what
        are no frames, `PlanError` for a planner that continues nothing.
        """
