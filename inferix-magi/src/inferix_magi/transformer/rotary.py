"""Rotary positions over latent, row and column with learned frequencies, at any latent index.

Letters: B worlds, L latents, S tokens of a latent that are rotated, N = L * S tokens, H heads, D head dim,
F = D / 8 frequencies, P = 3 F pairs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

_REFERENCE_AREA = 256
"""Tokens of the grid whose extent rows and columns are scaled to: 16 x 16."""
_NUM_TABLES_KEPT = 4


class GridRotary:
    """Rotates tokens that lie on a grid of `rows` x `columns` in each latent, both more than 1.

    The first P dims of a head are paired with the next P; a quarter of the head is left alone. `bands` [F] are the
    frequencies of each axis. The rotation is in float32 and its result in `dtype`, whatever the input's. Made for one
    pass: all its layers share the tables, and bands that are loaded later are not known here.
    """

    def __init__(self, bands: Tensor, *, rows: int, columns: int, dtype: torch.dtype) -> None:
        self.tokens_per_latent = rows * columns
        self._bands = bands.double()
        self._dtype = dtype
        across = _spread(rows, rows=rows, columns=columns).to(bands.device)[:, None] * self._bands
        along = _spread(columns, rows=rows, columns=columns).to(bands.device)[:, None] * self._bands
        size = (rows, columns, -1)
        angles = torch.cat([across[:, None].expand(size), along[None].expand(size)], dim=-1)
        self._spatial = _turns(angles.flatten(0, 1))  # [S, 2F, 2]
        self._tables: OrderedDict[tuple[tuple[tuple[int, ...], ...], range], Tensor] = OrderedDict()

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]], *, tokens: range | None = None) -> Tensor:
        """`x` [B, N, H, D] rotated for the temporal `positions` of its latents, one row for each world or one for all.

        Of each latent `x` holds `tokens`, in raster order, or all of them. Raises `ValueError` if the positions do not
        make N tokens.
        """
        tokens = range(self.tokens_per_latent) if tokens is None else tokens
        cosine, sine = self.table(positions, tokens=tokens).unsqueeze(2).unbind(-1)  # [1 or B, N, 1, P]
        num_pairs = cosine.shape[-1]
        if cosine.shape[1] != x.shape[1]:
            raise ValueError(
                f"{len(positions[0])} positions of {len(tokens)} tokens make {cosine.shape[1]} tokens, "
                f"but {x.shape[1]} are to be rotated: give one position for each latent."
            )
        x = x.float()
        first, second, rest = x[..., :num_pairs], x[..., num_pairs : 2 * num_pairs], x[..., 2 * num_pairs :]
        turned = [first * cosine - second * sine, second * cosine + first * sine, rest]
        return torch.cat(turned, dim=-1).to(self._dtype)

    def table(self, positions: Sequence[Sequence[int]], *, tokens: range | None = None) -> Tensor:
        """Cosines and sines [1 or B, N, P, 2] float32: pairs of the latent's position, of the row, of the column."""
        tokens = range(self.tokens_per_latent) if tokens is None else tokens
        rows = tuple(tuple(row) for row in positions)
        if all(row == rows[0] for row in rows):
            rows = rows[:1]
        table = self._tables.get((rows, tokens))
        if table is None:
            times = torch.tensor(rows, dtype=torch.float64).to(self._bands.device, non_blocking=True)
            temporal = _turns(times[..., None] * self._bands)  # [B, L, F, 2]
            size = (*temporal.shape[:2], len(tokens), -1, 2)
            spatial = self._spatial[tokens.start : tokens.stop]
            table = torch.cat([temporal[:, :, None].expand(size), spatial.expand(size)], dim=3).flatten(1, 2)
            self._tables[rows, tokens] = table
            if len(self._tables) > _NUM_TABLES_KEPT:
                self._tables.popitem(last=False)
        return table


def _spread(size: int, *, rows: int, columns: int) -> Tensor:
    """Coordinates [size] float64 of one side of the grid, centred, over the extent that it has in the reference."""
    reference = (rows * columns / _REFERENCE_AREA) ** 0.5
    centred = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    extent: float = size / reference - 1
    return centred * (extent / (size - 1))


def _turns(angles: Tensor) -> Tensor:
    """Cosines and sines [..., 2] float32, worked out in float64."""
    return torch.stack([angles.cos(), angles.sin()], dim=-1).float()
