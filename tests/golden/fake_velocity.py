"""A stand-in network for transport cases, with everything it was asked on record.

Letters: B worlds, L latents, C channels, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from inferix_core.contracts.kv import KVPolicy
from inferix_core.contracts.model import Conditions, LayerContext, PassInput
from inferix_core.plan import Entry, FieldShape, Geometry, KVLayout
from inferix_core.signals import Signal
from torch import Tensor

NUM_FRAMES_PER_LATENT = 4


@dataclass(slots=True)
class Forward:
    """One pass as the network and the policy saw it: times and positions of its latents, what each entry sees.

    `visible` maps the place of an entry in the pass to the latents it attends to; entries without history are absent.
    """

    times: list[float]
    positions: list[int]
    visible: list[tuple[Entry, list[int]]]
    step_size: float | None


@dataclass(slots=True)
class Record:
    """All forwards in order, and the latents that went to the decoder, block after block."""

    forwards: list[Forward] = field(default_factory=list)
    decoded: list[Tensor] = field(default_factory=list)
    pending: list[tuple[Entry, list[int]]] = field(default_factory=list)


class FakeVelocity:
    """A model whose prediction is `0.3 x - 0.7 t + 0.25`; its one layer attends, so that stores and policies work."""

    def __init__(self, record: Record, *, latent_shape: tuple[int, int, int]) -> None:
        self._record = record
        shape = FieldShape((1, 8))
        self.geometry = Geometry(latent_shape, 1, 8, 8, fps=24.0, num_frames_first=NUM_FRAMES_PER_LATENT)
        self.layout = KVLayout(1, 1, {"k": shape, "v": shape})
        self.dtype = self.latent_dtype = torch.float32
        self.layers = [self._attend]

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """Nothing steers this network."""
        return {}

    def embed(self, pass_input: PassInput) -> PassInput:
        """The input itself; the forward goes on record."""
        forward = Forward(
            list(pass_input.times[0]), list(pass_input.positions[0]), self._record.pending, pass_input.step_size
        )
        self._record.forwards.append(forward)
        self._record.pending = []
        return pass_input

    def head(self, state: PassInput) -> Tensor:
        """The velocity `[B, L, C, h, w]`."""
        times = torch.tensor(state.times, dtype=torch.float32)[:, :, None, None, None]
        return 0.3 * state.latents - 0.7 * times + 0.25

    def _attend(self, state: PassInput, context: LayerContext) -> PassInput:
        x = torch.zeros(state.latents.shape[0], state.latents.shape[1], 1, 8)  # [B, N, H, D]
        context.attend(x, x, x, rotary=None)
        return state


class RecordingPolicy:
    """A policy, with what it lets entries see on record."""

    def __init__(self, policy: KVPolicy, record: Record) -> None:
        self._policy = policy
        self._record = record

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """As the policy says."""
        return self._policy.retained(held, upcoming)

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """As the policy says."""
        visible = self._policy.visible(entry, available)
        self._record.pending.append((entry, list(visible)))
        return visible

    def capacity(self, num_block_latents: int) -> int | None:
        """As the policy says."""
        return self._policy.capacity(num_block_latents)


class RecordingDecoder:
    """Black frames; the latents go on record."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `Decoder.decode`."""
        self._record.decoded.append(latents)
        return torch.zeros(len(latents) * NUM_FRAMES_PER_LATENT, 3, 8, 8), None


class RecordedNoise:
    """Noise from a tape: latents `[L, C, h, w]` at the first level, none later."""

    def __init__(self, tape: Tensor) -> None:
        self._tape = tape

    def draw(self, latents: range, *, level: int, shape: tuple[int, ...]) -> Tensor:
        """See `NoiseSource.draw`."""
        assert level == 0, "these solvers draw no noise after the beginning"
        return self._tape[latents.start : latents.stop]
