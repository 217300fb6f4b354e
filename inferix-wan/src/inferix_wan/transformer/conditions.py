"""The named parts of the conditions that Wan transformers read, and how each guidance branch reads them.

Letters: L latents, C channels, h, w latent height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from inferix_core.contracts.model import Condition, PassInput
from inferix_core.errors import UnsupportedError
from torch import Tensor

from inferix_wan.branches import NULL

TEXT = "text"
"""Text tokens `[1, text_len, dim]`, as `WanTransformer.embed_text` makes them."""

NEGATIVE_TEXT = "negative_text"
"""The same for the negative prompt; read in the place of `TEXT` under the branch `NULL`."""

IMAGE = "image"
"""Tokens `[1, T, dim]` of the picture that a video starts from, as `WanTransformer.embed_image` makes them."""

IMAGE_LATENTS = "image_latents"
"""What is laid beside the noise on the channel axis: one row for each latent, `[1, L, C * h * w]`."""

_NUM_MASK_CHANNELS = 4  # one for each frame of a latent


def parts_of_branch(parts: Sequence[str], pass_input: PassInput) -> tuple[str, ...]:
    """The parts that cross-attention reads in a pass, which are `parts` outside of guidance.

    Raises `UnsupportedError` if entries of the pass run under different branches, or a negative prompt is missing.
    """
    branches = sorted(set(pass_input.branches))
    if len(branches) > 1:
        raise UnsupportedError(
            f"A pass runs under the branches {', '.join(branches)}, but a Wan transformer takes one branch in a pass: "
            "plan a pass for each."
        )
    if NULL not in branches:
        return tuple(parts)
    require(NEGATIVE_TEXT, pass_input, why="the plan guides away from a negative prompt")
    return tuple(NEGATIVE_TEXT if part == TEXT else part for part in parts)


def require(part: str, pass_input: PassInput, *, why: str) -> None:
    """Raises `UnsupportedError` if an entry's conditions lack the part."""
    for of_world in pass_input.conditions:
        for conditions in of_world:
            if part not in conditions:
                found = ", ".join(conditions) or "nothing"
                raise UnsupportedError(
                    f"The conditions lack '{part}', which is needed since {why}; they hold {found}. Use a model whose "
                    "`encode` makes it."
                )


def image_latents(encoded: Tensor) -> Condition:
    """The condition of a video that starts from a picture, from what the VAE makes of the picture and grey frames (0).

    `encoded` is `[L, C, h, w]`; a mask of 4 channels before it says that the first latent is given.
    """
    num_latents, _, height, width = encoded.shape
    mask = encoded.new_zeros(num_latents, _NUM_MASK_CHANNELS, height, width)
    mask[0] = 1.0
    return Condition(torch.cat([mask, encoded], dim=1).flatten(1).unsqueeze(0))


def with_image_latents(pass_input: PassInput, *, num_channels: int) -> Tensor:
    """The latents of a pass with `num_channels` of the conditions behind their own, on the channel axis.

    A latent takes the row of its position. Raises `UnsupportedError` if the conditions have no such row.
    """
    latents = pass_input.latents
    height, width = latents.shape[3:]
    worlds = []
    for conditions, positions in zip(pass_input.conditions, pass_input.positions, strict=True):
        start, rows = 0, []
        for of_entry, length in zip(conditions, pass_input.entry_lengths, strict=True):
            rows.append(_rows(of_entry.get(IMAGE_LATENTS), positions[start : start + length]))
            start += length
        worlds.append(torch.cat(rows).reshape(-1, num_channels, height, width))
    return torch.cat([latents, torch.stack(worlds).to(latents.dtype)], dim=2)


def _rows(condition: Condition | None, positions: Sequence[int]) -> Tensor:
    """[L, C * h * w] of the positions, which follow one another."""
    num_rows = 0 if condition is None else condition.tokens.shape[1]
    if condition is None or positions[-1] >= num_rows:
        raise UnsupportedError(
            f"The conditions hold image latents for {num_rows} latents, but position {positions[-1]} is passed: this "
            f"model makes videos from a picture; give it '{IMAGE_LATENTS}' for the whole video."
        )
    return condition.tokens[0, positions[0] : positions[-1] + 1]
