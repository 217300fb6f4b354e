"""The model `pond`: a wave equation whose memory is the KV cache.

A block asks the cache how the newest page left the water, and the waves follow in closed form. Attention is used as
a memory that is addressed: a token's key says where and when it is and whether it is water or still noise, its value
is the water itself, and a query is so sharp that the softmax picks one. A part of the conditions is attended to the
same way: each cell of the pond looks for springs and drops near it.

Letters: B worlds, L latents of a pass, h, w cells, N tokens (patches of cells), D head dim, E cells of a patch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from inferix_core.contracts import Condition, Conditions, Layer, LayerContext, PassInput
from inferix_core.errors import SignalError
from inferix_core.plan import FieldShape, Geometry, KVLayout
from inferix_core.signals import Signal
from torch import Tensor

from inferix_example.config import PondConfig
from inferix_example.waves import Waves

HEIGHT, WIDTH, PATCH = 24, 32, 4
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH
HEAD_DIM = 2 * PATCH * PATCH  # a patch of height and speed is one value
PLACES = {
    "north": (4.0, 16.0),
    "south": (20.0, 16.0),
    "west": (12.0, 6.0),
    "east": (12.0, 26.0),
    "middle": (12.0, 16.0),
}
ACTIONS = ("none", "drop", "recall")
_SHARPNESS = 40.0  # what is off by one place or by one latent counts e**-40
_IGNORED = -1e9
_SPREAD = 2.0  # cells
_NOTHING_NEAR = 2.0


@dataclass(frozen=True, slots=True)
class Water:
    """What goes through the layer: the pass's latents, what each of them is to ask, and what it was answered.

    `latents` `[B, L, 2, h, w]`; `is_clean`, `positions`, `steps` (latents after the block's beginning) and
    `direction` (1 asks for the newest page, -1 for the oldest) `[B, L]`; `firsts` `[L]` is where each entry begins.
    """

    latents: Tensor
    is_clean: Tensor
    positions: Tensor
    steps: Tensor
    direction: Tensor
    firsts: Tensor
    remembered: Tensor
    push: Tensor


class Pond:
    """Implements `Model`. It has nothing to learn, and computes in float32 whatever the run's dtype."""

    def __init__(self, config: PondConfig, *, device: torch.device, dtype: torch.dtype) -> None:
        self.geometry = Geometry(
            latent_shape=(2, HEIGHT, WIDTH),
            tokens_per_latent=ROWS * COLUMNS,
            frame_height=4 * HEIGHT,
            frame_width=4 * WIDTH,
            fps=config.fps,
            num_frames_per_latent=2,
        )
        field = FieldShape((1, HEAD_DIM))
        self.layout = KVLayout(1, ROWS * COLUMNS, {"k": field, "v": field})
        self.dtype = self.latent_dtype = torch.float32
        self.layers: Sequence[Layer] = (self._look_around,)
        self._device = device
        self._wind = config.wind
        self._waves = Waves(HEIGHT, WIDTH, speed=config.speed, damping=config.damping, device=device)
        self._where = _where().to(device)
        self._cells = _cells().to(device)

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`: the springs stay until another prompt, a drop or a recall is for one block."""
        springs = None if previous is None else previous.get("springs")
        if springs is None or signal.prompt is not None:
            springs = self._wells(_places_in(signal.prompt), strength=0.3)
        if signal.action in (None, "none"):
            return {"springs": springs}
        if signal.action not in ACTIONS:
            raise SignalError(f"The pond has no action '{signal.action}'. It has: {', '.join(ACTIONS)}.")
        part = self._wells([PLACES["middle"]] if signal.action == "drop" else [], strength=1.5)
        return {"springs": springs, signal.action: part}

    def embed(self, pass_input: PassInput) -> Water:
        """See `Model.embed`."""
        latents = pass_input.latents.to(self._device, torch.float32)
        lengths = pass_input.entry_lengths
        recalls = [
            [
                -1.0 if "recall" in conditions else 1.0
                for conditions, n in zip(row, lengths, strict=True)
                for _ in range(n)
            ]
            for row in pass_input.conditions
        ]
        shape = latents.shape[:2]
        return Water(
            latents=latents,
            is_clean=self._tensor([[float(time == 0.0) for time in row] for row in pass_input.times]),
            positions=self._tensor([[float(position) for position in row] for row in pass_input.positions]),
            steps=self._tensor([float(step + 1) for n in lengths for step in range(n)]).expand(shape),
            direction=self._tensor(recalls),
            firsts=torch.tensor([sum(lengths[:e]) for e, n in enumerate(lengths) for _ in range(n)]),
            remembered=torch.zeros_like(latents),
            push=latents.new_zeros(*shape, HEIGHT, WIDTH),
        )

    def head(self, state: Water) -> Tensor:
        """See `Model.head`: the clean latents [B, L, 2, h, w]."""
        ruffle = self._wind * self._waves.smoothed(state.latents[:, state.firsts, 1])
        height, speed = state.remembered.unbind(2)
        begun = torch.stack([height, speed + state.push + ruffle], dim=2)
        return self._waves.after(begun, state.steps)

    def _look_around(self, state: Water, context: LayerContext) -> Water:
        """The layer: what the cache remembers, and what pushes the water."""
        answer = context.attend(*self._question(state), rotary=None)  # [B, N, 1, D]
        pushes = context.attend_conditions(self._near(state), ("springs", "drop"), self._project)  # [B, N, E, 4]
        batch, num_latents = state.latents.shape[:2]
        grid = (batch, num_latents, ROWS, COLUMNS)
        remembered = answer.view(*grid, 2, PATCH, PATCH).permute(0, 1, 4, 2, 5, 3, 6)
        push = pushes[..., 0].reshape(*grid, PATCH, PATCH).permute(0, 1, 2, 4, 3, 5)
        return replace(
            state,
            remembered=remembered.reshape(batch, num_latents, 2, HEIGHT, WIDTH),
            push=push.reshape(batch, num_latents, HEIGHT, WIDTH),
        )

    def _question(self, state: Water) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, N, 1, D] of the pass's tokens."""
        batch, num_latents = state.latents.shape[:2]
        patches = state.latents.view(batch, num_latents, 2, ROWS, PATCH, COLUMNS, PATCH).permute(0, 1, 3, 5, 2, 4, 6)
        clean = state.is_clean[..., None, None]
        values = patches.reshape(batch, num_latents, ROWS * COLUMNS, HEAD_DIM) * clean
        num_places = self._where.shape[1]
        queries, keys = torch.zeros_like(values), torch.zeros_like(values)
        queries[..., :num_places], keys[..., :num_places] = _SHARPNESS * self._where, self._where
        queries[..., num_places] = _SHARPNESS * state.direction.unsqueeze(-1)
        keys[..., num_places] = state.positions.unsqueeze(-1)
        queries[..., num_places + 1] = 1.0
        keys[..., num_places + 1] = _IGNORED * (1.0 - state.is_clean).unsqueeze(-1)
        queries = queries * HEAD_DIM**0.5  # the engine divides by it
        q, k, v = (x.flatten(1, 2).unsqueeze(2) for x in (queries, keys, values))
        return q, k, v

    def _near(self, state: Water) -> Tensor:
        """Queries [B, N, E, 4] with which each cell looks for wells near it: one head for each cell of a patch."""
        batch, num_latents = state.latents.shape[:2]
        return 2.0 * self._cells.repeat(num_latents, 1, 1).expand(batch, -1, -1, -1)

    def _project(self, wells: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [1, T, E, 4] of wells: the product with a cell's query falls with their distance squared."""
        row, column, strength, is_there = wells.unbind(-1)
        falls = 1.0 / (2.0 * _SPREAD**2)
        keys = torch.stack(
            [
                2.0 * falls * row * is_there,
                2.0 * falls * column * is_there,
                -falls * is_there,
                -falls * (row**2 + column**2) * is_there - _NOTHING_NEAR * (1.0 - is_there),
            ],
            dim=-1,
        )
        values = torch.zeros_like(keys)
        values[..., 0] = strength
        heads = (1, wells.shape[1], PATCH * PATCH, 4)
        return keys.unsqueeze(2).expand(heads), values.unsqueeze(2).expand(heads)

    def _wells(self, places: Sequence[tuple[float, float]], *, strength: float) -> Condition:
        """Tokens [1, T, 4]: where each well is, how strong, and that it is there; the first says that none is near."""
        tokens = [(0.0, 0.0, 0.0, 0.0), *((row, column, strength, 1.0) for row, column in places)]
        return Condition(self._tensor([tokens]))

    def _tensor(self, values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device)


def _places_in(prompt: str | None) -> list[tuple[float, float]]:
    """Where a prompt puts springs. Raises `SignalError` for one that names no place."""
    words = re.findall(r"[a-z]+", (prompt or "still").lower())
    places = [PLACES[word] for word in words if word in PLACES]
    if not places and "still" not in words:
        raise SignalError(
            f"The pond finds no place in '{prompt}'. Name one or more of {', '.join(PLACES)} for springs, or 'still'."
        )
    return places


def _where() -> Tensor:
    """A code for each patch [ROWS * COLUMNS, ROWS + COLUMNS], whose product with another counts what they share."""
    rows = torch.eye(ROWS).repeat_interleave(COLUMNS, dim=0)
    return torch.cat([rows, torch.eye(COLUMNS).repeat(ROWS, 1)], dim=1)


def _cells() -> Tensor:
    """For each cell of each patch its row, column, their squares' sum and 1: [ROWS * COLUMNS, E, 4]."""
    row, column = torch.meshgrid(torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij")
    cells = torch.stack([row, column, row**2 + column**2, torch.ones_like(row)], dim=-1)
    patches = cells.view(ROWS, PATCH, COLUMNS, PATCH, 4).transpose(1, 2)
    return patches.reshape(ROWS * COLUMNS, PATCH * PATCH, 4)
