"""Rotary positions over latent, row and column, with angles from the formula at any latent index.

Letters: B worlds, L latents, S tokens of a latent, N = L * S tokens, H heads, D head dim, P = D / 2 pairs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

THETA = 10000.0
_NUM_TABLES_KEPT = 8


class GridRotary:
    """Rotates tokens that lie on a grid of `rows` x `columns` in each latent; adjacent elements form a pair.

    The pairs of a head are split over latent, row and column, each with a frequency ladder of its own. Angles are
    computed in float64. `precision` is the dtype of the rotation itself, whose result is cast back to the input's;
    in float32 the result for bf16 input is at most one rounding away from the float64 one. Tables of the last few
    position sets are kept, since all layers and levels of a block share one.
    """

    def __init__(self, *, head_dim: int, rows: int, columns: int, precision: torch.dtype) -> None:
        self.tokens_per_latent = rows * columns
        self._precision = precision
        num_pairs = head_dim // 2
        num_spatial = num_pairs // 3
        num_temporal = num_pairs - 2 * num_spatial
        self._temporal_frequencies = _frequencies(num_temporal)  # [Pt]
        spatial_frequencies = _frequencies(num_spatial)
        row = torch.arange(rows, dtype=torch.float64).outer(spatial_frequencies)  # [rows, Ps]
        column = torch.arange(columns, dtype=torch.float64).outer(spatial_frequencies)  # [columns, Ps]
        by_row = row[:, None, :].expand(rows, columns, num_spatial)
        by_column = column[None, :, :].expand(rows, columns, num_spatial)
        self._spatial_angles = torch.cat([by_row, by_column], dim=-1).reshape(rows * columns, 2 * num_spatial)
        self._tables: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def rotate(self, x: Tensor, positions: Sequence[Sequence[int]], *, tokens: range | None = None) -> Tensor:
        """`x` [B, N, H, D] rotated for the temporal `positions` of its latents, one row for each world or one for all.

        Of each latent `x` holds `tokens`, in raster order, or all of them. Raises `ValueError` if the positions do not
        make N tokens.
        """
        tokens = tokens or range(self.tokens_per_latent)
        table = self._table(positions, x.device, tokens)
        if table.shape[1] != x.shape[1]:
            raise ValueError(
                f"{len(positions[0])} positions of {len(tokens)} tokens make {table.shape[1]} tokens, "
                f"but {x.shape[1]} are to be rotated: give one position for each latent."
            )
        pairs = torch.view_as_complex(x.to(self._precision).view(*x.shape[:-1], -1, 2))  # [B, N, H, P]
        return torch.view_as_real(pairs * table).flatten(-2).to(x.dtype)

    def _table(self, positions: Sequence[Sequence[int]], device: torch.device, tokens: range) -> Tensor:
        """Unit complex numbers [1 or B, N, 1, P]."""
        rows = tuple(tuple(row) for row in positions)
        if all(row == rows[0] for row in rows):
            rows = rows[:1]
        key = (device, rows, tokens)
        table = self._tables.get(key)
        if table is None:
            # A table made inside inference mode could not be used by a later pass that records gradients.
            with torch.inference_mode(False), torch.no_grad():
                table = self._make_table(rows, tokens).to(device)
            self._tables[key] = table
            if len(self._tables) > _NUM_TABLES_KEPT:
                self._tables.popitem(last=False)
        else:
            self._tables.move_to_end(key)
        return table

    def _make_table(self, rows: Sequence[Sequence[int]], tokens: range) -> Tensor:
        times = torch.tensor(rows, dtype=torch.float64)  # [B, L]
        temporal = times[..., None] * self._temporal_frequencies  # [B, L, Pt]
        num_worlds, num_latents, _ = temporal.shape
        size = (num_worlds, num_latents, len(tokens), -1)
        spatial = self._spatial_angles[tokens.start : tokens.stop]
        angles = torch.cat([temporal[:, :, None].expand(size), spatial.expand(size)], dim=-1)
        complex_dtype = torch.complex128 if self._precision == torch.float64 else torch.complex64
        table = torch.polar(torch.ones_like(angles), angles).to(complex_dtype)  # [B, L, S, P]
        return table.flatten(1, 2).unsqueeze(2)


def _frequencies(num_pairs: int) -> Tensor:
    """The geometric ladder from 1 down to just above 1 / THETA, [num_pairs] float64."""
    return THETA ** (-torch.arange(num_pairs, dtype=torch.float64) / max(num_pairs, 1))
