"""Latents to patches and back, for networks whose tokens are patches of one latent each.

Letters: B worlds, L latents, C channels, R rows and S columns of tokens, p and q rows and columns of a patch.
"""

from __future__ import annotations

from torch import Tensor


def patches(latents: Tensor, *, patch_size: tuple[int, int]) -> Tensor:
    """[B, L, C, R*p, S*q] -> [B, L*R*S, C*p*q], tokens in raster order, the order of a convolution's weight inside."""
    rows, columns = patch_size
    num_worlds, num_latents, num_channels, height, width = latents.shape
    split = latents.reshape(num_worlds, num_latents, num_channels, height // rows, rows, width // columns, columns)
    ordered = split.permute(0, 1, 3, 5, 2, 4, 6)  # [B, L, R, S, C, p, q]
    return ordered.reshape(num_worlds, -1, num_channels * rows * columns)


def unpatched(tokens: Tensor, *, grid: tuple[int, int, int], patch_size: tuple[int, int]) -> Tensor:
    """[B, L*R*S, p*q*C] with the channel fastest -> [B, L, C, R*p, S*q], for a `grid` (L, R, S)."""
    num_latents, num_rows, num_columns = grid
    rows, columns = patch_size
    split = tokens.reshape(tokens.shape[0], num_latents, num_rows, num_columns, rows, columns, -1)
    ordered = split.permute(0, 1, 6, 2, 4, 3, 5)  # [B, L, C, R, p, S, q]
    return ordered.reshape(tokens.shape[0], num_latents, -1, num_rows * rows, num_columns * columns)
