"""Light, deterministic components for tests: a model whose every part matters, and a decoder with memory.

Letters: B worlds, L latents, C channels, N tokens, H heads, D head dim.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Condition, Conditions, Layer, LayerContext, PassInput
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError, PlanError, SignalError
from inferix_core.plan import Entry, FieldShape, Geometry, KVLayout, Level, Op, Pass, Prefill, Progress, Update
from inferix_core.signals import Signal

CHANNELS, HEIGHT, WIDTH = 2, 2, 4
HEADS, HEAD_DIM = 2, 4
ACTIONS = ("none", "left", "right")


class ToyRotary:
    """Turns pairs of elements by an angle that is the position itself."""

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]]) -> Tensor:
        """See `Rotary.rotate`."""
        angles = torch.tensor(positions, dtype=torch.float64)
        angles = angles.repeat_interleave(x.shape[1] // angles.shape[1], dim=1)[:, :, None, None]
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


@dataclass(frozen=True, slots=True)
class _Hidden:
    tokens: Tensor
    times: Tensor
    num_latents: int


class ToyModel:
    """Two layers of attention over 8 tokens a latent; prompts and actions become condition tokens."""

    def __init__(self, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        width = HEADS * HEAD_DIM
        generator = torch.Generator().manual_seed(seed)
        self.geometry = Geometry((CHANNELS, HEIGHT, WIDTH), HEIGHT * WIDTH, 4 * HEIGHT, 4 * WIDTH, fps=8.0)
        shape = FieldShape((HEADS, HEAD_DIM))
        self.layout = KVLayout(2, HEIGHT * WIDTH, {"k": shape, "v": shape})
        self.dtype = self.latent_dtype = dtype
        self._into = torch.randn(CHANNELS, width, generator=generator)
        self._out = torch.randn(width, CHANNELS, generator=generator) * 0.3
        self.layers: Sequence[Layer] = [_ToyLayer(generator, width) for _ in range(self.layout.num_layers)]
        self._actions = {name: Condition(_tokens(name, count=1)) for name in ACTIONS}

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`; every prompt but the empty one is understood."""
        if signal.action is not None and signal.action not in ACTIONS:
            raise SignalError(f"The toy model has no action '{signal.action}'. It has: {', '.join(ACTIONS)}.")
        if signal.negative_prompt is not None:
            raise SignalError("The toy model is not guided: it takes no negative prompt.")
        if signal.prompt == "":
            raise SignalError("The toy model was given an empty prompt; it takes any other.")
        text = (previous or {}).get("text")
        if text is None or signal.prompt is not None:
            text = Condition(_tokens(signal.prompt or "nothing", count=3))
        return {"text": text, "action": self._actions[signal.action or "none"]}

    def embed(self, pass_input: PassInput) -> _Hidden:
        """See `Model.embed`."""
        latents = pass_input.latents
        tokens = torch.einsum("blchw,cd->blhwd", latents.float(), self._into).flatten(1, 3)
        return _Hidden(tokens, torch.tensor(pass_input.times), latents.shape[1])

    def head(self, state: _Hidden) -> Tensor:
        """See `Model.head`."""
        batch = state.tokens.shape[0]
        grid = (state.tokens @ self._out).view(batch, state.num_latents, HEIGHT, WIDTH, CHANNELS)
        return grid.permute(0, 1, 4, 2, 3).to(self.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class ToyBeginning:
    """What a world of a `ToyPrefixModel` begins with."""

    latents: Tensor
    conditions: Conditions


class ToyPrefixModel(ToyModel):
    """A toy whose worlds begin with a picture or a video, its first frame repeated to whole blocks."""

    def encode_prefix(
        self, frames: Tensor, *, fit: str | None, encoder: FrameEncoder, planner: Planner
    ) -> ToyBeginning:
        """See `PrefixModel.encode_prefix`; any planner of blocks of one length continues it."""
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0:
            raise ConfigError(f"A picture or video is uint8 [T, h, w, 3]; found {frames.dtype} {list(frames.shape)}.")
        pixels = _fitted(frames.permute(0, 3, 1, 2) / 127.5 - 1.0, fit=fit)
        num_latents = planner.num_block_latents
        while self.geometry.num_frames(range(num_latents)) < len(pixels):
            num_latents += planner.num_block_latents
        missing = self.geometry.num_frames(range(num_latents)) - len(pixels)
        latents, _ = encoder.encode(torch.cat([pixels[:1].expand(missing, -1, -1, -1), pixels]), None)
        return ToyBeginning(latents, {})


class _ToyLayer:
    def __init__(self, generator: torch.Generator, width: int) -> None:
        self._qkv = torch.randn(width, 3 * width, generator=generator) * 0.5
        self._cross = torch.randn(width, 2 * width, generator=generator) * 0.5
        self._rotary = ToyRotary()

    def __call__(self, state: _Hidden, context: LayerContext) -> _Hidden:
        shift = (state.times * 0.001).repeat_interleave(HEIGHT * WIDTH, dim=1).unsqueeze(-1)
        x = torch.tanh(state.tokens + shift)
        q, k, v = ((x @ part).view(*x.shape[:2], HEADS, HEAD_DIM) for part in self._qkv.chunk(3, dim=-1))
        x = x + context.attend(q, k, v, rotary=self._rotary).flatten(2)
        x = x + context.attend_conditions(q, ("text", "action"), self._project).flatten(2)
        return _Hidden(x, state.times, state.num_latents)

    def _project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = (tokens @ self._cross).view(*tokens.shape[:2], 2 * HEADS, HEAD_DIM).chunk(2, dim=2)
        return keys, values


class ToyPlanner:
    """Blocks of `num_block_latents`, two denoising passes and a clean one."""

    def __init__(self, *, num_block_latents: int = 2) -> None:
        self.num_block_latents = num_block_latents
        self.levels = (Level(0, 1000.0, 1.0), Level(1, 500.0, 0.5), Level(2, 0.0, 0.0))

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`."""
        block, size = progress.num_finished, self.num_block_latents
        if progress.horizon is not None and block >= progress.horizon:
            return ()
        latents = range(block * size, (block + 1) * size)
        if latents.start < progress.num_prefix_latents < latents.stop:
            raise PlanError(
                f"A prefix of {progress.num_prefix_latents} latents ends inside a block of {size}: "
                f"give {latents.start} or {latents.stop}."
            )
        noise, half, clean = self.levels
        entries = {level: Entry(block, latents, latents.start, level) for level in self.levels}
        if latents.stop <= progress.num_prefix_latents:
            return (Prefill(entries[clean]),)
        return (
            Pass((entries[noise],), updates=(Update(block, noise, half),)),
            Pass((entries[half],), updates=(Update(block, half, clean),)),
            Pass((entries[clean],), commits=(block,), finishes=(block,)),
        )


class ToyStaggeredPlanner:
    """Two blocks in flight: while one is finished the next begins, and its pages are committed a step later."""

    def __init__(self, *, size: int = 2) -> None:
        self._size = size
        self.num_block_latents = 3 * size
        self.levels = (Level(0, 1000.0, 1.0), Level(1, 500.0, 0.5), Level(2, 0.0, 0.0))

    def plan(self, progress: Progress) -> Sequence[Op]:
        """See `Planner.plan`."""
        block, horizon = progress.num_finished, progress.horizon
        if progress.num_prefix_latents:
            raise PlanError("The staggered toy planner takes no prefix.")
        if horizon is not None and block >= horizon:
            return ()
        noise, half, clean = self.levels
        ops: list[Op] = []
        if block == 0:
            ops.append(Pass((self._entry(0, noise),), updates=(Update(0, noise, half),)))
        entries, updates = [self._entry(block, half)], [Update(block, half, clean)]
        if block > 0:
            entries.insert(0, self._entry(block - 1, clean))
        if horizon is None or block + 1 < horizon:
            entries.append(self._entry(block + 1, noise))
            updates.append(Update(block + 1, noise, half))
        commits = (block - 1,) if block > 0 else ()
        return (*ops, Pass(tuple(entries), updates=tuple(updates), commits=commits, finishes=(block,)))

    def _entry(self, block: int, level: Level) -> Entry:
        latents = range(block * self._size, (block + 1) * self._size)
        return Entry(block, latents, latents.start, level)


class ToySolver:
    """Predictions are velocities from clean to noise; every move but the last draws fresh noise."""

    def update(
        self, latents: Tensor, prediction: Tensor, *, level: Level, target: Level, noise: Any, history: Any
    ) -> tuple[Tensor, Any]:
        """See `Solver.update`."""
        clean = torch.tanh(latents - level.sigma * prediction)
        if target.sigma == 0.0:
            return clean, None
        return (1.0 - target.sigma) * clean + target.sigma * noise(), None


class ToyDecoder:
    """Frames that mix each latent with the one before it, so that a lost state shows."""

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `Decoder.decode`."""
        frames = []
        for latent in latents:
            mixed = latent if state is None else 0.5 * (latent + state)
            picture = mixed.mean(0, keepdim=True).expand(3, -1, -1)
            picture = picture.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
            frames += [picture] * (1 if state is None else 4)
            state = latent
        return torch.stack(frames).clamp(-1.0, 1.0), state


class ToyAutoencoder(ToyDecoder):
    """A decoder that encodes too: latents are frames made smaller, mixed with the latent before."""

    def encode(self, frames: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `FrameEncoder.encode`. A state is the frames that wait, and the last latent."""
        waiting, last = (frames[:0], None) if state is None else (state["waiting"], state["last"])
        frames, latents = torch.cat([waiting, frames]), []
        while len(frames) >= (count := 1 if last is None else 4):
            small = frames[:count].mean((0, 1)).view(HEIGHT, 4, WIDTH, 4).mean((1, 3))
            mixed = small if last is None else 0.5 * (small + last)
            latents.append(mixed.expand(CHANNELS, -1, -1))
            last, frames = small, frames[count:]
        made = torch.stack(latents) if latents else frames.new_empty(0, CHANNELS, HEIGHT, WIDTH)
        return made, {"waiting": frames.clone(), "last": last}


def _fitted(frames: Tensor, *, fit: str | None) -> Tensor:
    """Frames `[T, 3, h, w]` in the toy's size, each pixel the nearest one; cropped unless `fit` says otherwise."""
    sides = (4 * HEIGHT, 4 * WIDTH)
    if fit == "stretch":
        return torch.nn.functional.interpolate(frames, size=sides)
    scales = [side / given for side, given in zip(sides, frames.shape[2:], strict=True)]
    scale = min(scales) if fit == "pad" else max(scales)
    resized = torch.nn.functional.interpolate(frames, scale_factor=scale, recompute_scale_factor=True)
    rows, columns = (side - given for side, given in zip(sides, resized.shape[2:], strict=True))
    around = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return torch.nn.functional.pad(resized, around, value=-1.0)


def _tokens(text: str, *, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return torch.randn(1, count, HEADS * HEAD_DIM, generator=generator)
