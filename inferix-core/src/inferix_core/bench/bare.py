"""The bare sequence of calls that a block needs: network, solver and decoder, with nothing around them.

It is what the engine is paired with. Letters: N tokens of the block, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from inferix_core.contracts.model import Conditions, PassInput, Rotary
from inferix_core.errors import UnsupportedError
from inferix_core.plan import Pass, Progress
from inferix_core.runtime.frames import to_uint8
from inferix_core.signals import Signal

if TYPE_CHECKING:
    from inferix_core.contracts.decoder import Decoder
    from inferix_core.runtime.loop import Parts


class BareBlocks:
    """Makes blocks one after another, with one block in flight and a plain window of the policy's capacity."""

    def __init__(self, parts: Parts, decoder: Decoder, *, prompt: str) -> None:
        num_window_latents = parts.policy.capacity(parts.planner.num_block_latents)
        if num_window_latents is None:
            raise UnsupportedError("The bare sequence needs a KV policy with a bound, e.g. sink-window.")
        if any(isinstance(op, Pass) and len(op.entries) > 1 for op in parts.planner.plan(Progress())):
            raise UnsupportedError(
                "The bare sequence has one block in flight, but this planner keeps several: measure a model that makes "
                "one block after the other, e.g. self-forcing, or use `inferix bench generate`."
            )
        self._parts = parts
        self._decoder = decoder
        self._conditions = parts.model.encode(Signal(prompt=prompt), None)
        self._keys_values = _Buffers(parts, num_window_latents)
        self._decoder_state: Any = None
        self._num_finished = 0

    def step(self) -> Tensor:
        """The frames `[T, H, W, 3]` uint8 of the next block."""
        model, solver = self._parts.model, self._parts.solver
        latents = torch.empty(0)
        for op in self._parts.planner.plan(Progress(self._num_finished)):
            assert isinstance(op, Pass), "a live world's plan has passes only"
            (entry,) = op.entries  # one block in flight
            num_latents = len(entry.latents)
            if latents.numel() == 0:
                self._keys_values.begin(num_latents)
                latents = self._noise(num_latents)
            positions = [[entry.first_position + i for i in range(num_latents)]]
            state = model.embed(
                PassInput(
                    latents=latents.unsqueeze(0),
                    times=[[entry.level.time] * num_latents],
                    positions=positions,
                    conditions=[[self._conditions]],
                    branches=["signal"],
                    entry_lengths=[num_latents],
                )
            )
            for index, layer in enumerate(model.layers):
                state = layer(state, _BareLayer(self._keys_values, self._conditions, positions, index))
            for update in op.updates:
                latents, _ = solver.update(
                    latents,
                    model.head(state)[0],
                    level=update.level,
                    target=update.target,
                    noise=partial(self._noise, num_latents),
                    history=None,
                )
        frames, self._decoder_state = self._decoder.decode(latents, self._decoder_state)
        self._num_finished += 1
        return to_uint8(frames)

    def _noise(self, num_latents: int) -> Tensor:
        shape = (num_latents, *self._parts.model.geometry.latent_shape)
        return torch.randn(shape, device=self._parts.device, dtype=self._parts.model.latent_dtype)


class _Buffers:
    """Keys and values of the window, oldest first, in one tensor for each layer."""

    def __init__(self, parts: Parts, num_window_latents: int) -> None:
        layout = parts.model.layout
        self._tokens_per_latent = layout.tokens_per_latent
        self._capacity = num_window_latents * layout.tokens_per_latent
        self.fields = [
            {
                name: torch.empty((1, self._capacity, *field.shape), device=parts.device, dtype=parts.model.dtype)
                for name, field in layout.fields.items()
            }
            for _ in range(layout.num_layers)
        ]
        self.filled = 0
        self.end = 0

    def begin(self, num_latents: int) -> None:
        num_tokens = num_latents * self._tokens_per_latent
        self.filled = self.end
        overflow = self.filled + num_tokens - self._capacity
        if overflow > 0:
            for layer in self.fields:
                for buffer in layer.values():
                    buffer[:, : self.filled - overflow] = buffer[:, overflow : self.filled].clone()
            self.filled -= overflow
        self.end = self.filled + num_tokens


class _BareLayer:
    """Attention over the buffers; implements `LayerContext`."""

    def __init__(
        self, buffers: _Buffers, conditions: Conditions, positions: Sequence[Sequence[int]], layer: int
    ) -> None:
        self._buffers = buffers
        self._conditions = conditions
        self._positions = positions
        self._layer = layer

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        if rotary is not None:
            q, k = rotary.rotate(q, self._positions), rotary.rotate(k, self._positions)
        start, end = self._buffers.filled, self._buffers.end
        fields = self._buffers.fields[self._layer]
        fields["k"][:, start:end] = k
        fields["v"][:, start:end] = v
        return _attention(q, fields["k"][:, :end], fields["v"][:, :end])

    def attend_conditions(
        self, q: Tensor, parts: Sequence[str], project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        pairs = []
        for part in parts:
            if part in self._conditions:
                condition = self._conditions[part]
                if self._layer not in condition.projected:
                    condition.projected[self._layer] = project(condition.tokens)
                pairs.append(condition.projected[self._layer])
        keys, values = (side[0] if len(side) == 1 else torch.cat(side, dim=1) for side in zip(*pairs, strict=True))
        return _attention(q, keys, values)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), enable_gqa=k.shape[2] != q.shape[2]
    ).transpose(1, 2)
