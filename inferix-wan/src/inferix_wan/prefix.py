"""What a world begins with: frames, encoded so that the model goes on from them.

Letters: T frames, L latents, C channels, h, w latent height and width, H, W frame height and width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from inferix_core.contracts.decoder import FrameEncoder
from inferix_core.contracts.model import Conditions
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import PluginError
from inferix_core.plan import Geometry, Pass, Prefill, Progress
from loguru import logger
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a world begins with: the clean latents [L, C, h, w] of its first blocks, None where there are none, and
    parts of its conditions, which hold as long as it lives.
    """

    latents: Tensor | None = None
    conditions: Conditions = field(default_factory=dict)


def prefix_latents(frames: Tensor, *, encoder: FrameEncoder, planner: Planner, geometry: Geometry) -> Tensor:
    """Frames [T, 3, H, W] in [-1, 1] -> latents [L, C, h, w] that end where a block of the planner ends.

    The first latent stands for one frame, as in every video of the model. As many of the last frames are taken as
    whole blocks have; too few for the first block (a picture is one) are led by repetitions of the first frame.
    Either is said in the log. Raises `PlanError` for a planner that continues nothing.
    """
    num_wanted = _num_frames(num_given=len(frames), planner=planner, geometry=geometry)
    if num_wanted > len(frames):
        _tell_of_repetition(num_given=len(frames), num_wanted=num_wanted)
        still = frames[:1].expand(num_wanted - len(frames), -1, -1, -1)
        frames = torch.cat([still, frames])
    elif num_wanted < len(frames):
        logger.warning(
            f"Of the {len(frames)} frames given, the last {num_wanted} are continued: the others do not fill a block."
        )
    return encoded(frames[len(frames) - num_wanted :], encoder=encoder, geometry=geometry)


def encoded(frames: Tensor, *, encoder: FrameEncoder, geometry: Geometry) -> Tensor:
    """The latents [L, C, h, w] of a video [T, 3, H, W] in [-1, 1], made one by one so that little memory is needed."""
    lengths = [geometry.num_frames_first]
    lengths += [geometry.num_frames_per_latent] * ((len(frames) - lengths[0]) // geometry.num_frames_per_latent)
    latents, state = [], None
    for piece in torch.split(frames[: sum(lengths)], lengths):
        made, state = encoder.encode(piece, state)
        latents.append(made)
    return torch.cat(latents)


def _num_frames(*, num_given: int, planner: Planner, geometry: Geometry) -> int:
    """The frames of the most whole blocks that `num_given` frames fill, at least those of the first."""
    block, end = 0, _block_end(planner, 0)
    while geometry.num_frames(range(end)) < num_given:
        block += 1
        next_end = _block_end(planner, block)
        if geometry.num_frames(range(next_end)) > num_given:
            break
        end = next_end
    return geometry.num_frames(range(end))


def _block_end(planner: Planner, block: int) -> int:
    """The latent after the last of a block."""
    for op in planner.plan(Progress(block)):
        entries = op.entries if isinstance(op, Pass) else (op.entry,) if isinstance(op, Prefill) else ()
        for entry in entries:
            if entry.block == block:
                return entry.latents.stop
    raise PluginError(f"The plan of block {block} by {type(planner).__name__} does not pass it.")


def _tell_of_repetition(*, num_given: int, num_wanted: int) -> None:
    what = "A picture was given" if num_given == 1 else f"{num_given} frames were given"
    logger.info(
        f"{what}, but the first block has {num_wanted} frames: the first frame is repeated. A planner with "
        "independent_first_latent = true begins with a single one."
    )
