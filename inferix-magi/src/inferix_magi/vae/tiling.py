"""Videos in overlapping tiles, run one after the other, so that memory is bounded by a tile.

Letters: B videos, T frames or latents, H, W height and width. What runs over a tile makes it larger or smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]
"""What is done to a tile [B, C, T, H, W]."""

Place = tuple[int, int, int]
_DIMS = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis is cut, in latent positions: the length of a tile, what it shares with the next, and how many
    frames or pixels one position stands for. The last tiles are as short as what is left.
    """

    tile: int
    overlap: int
    stride: int


Axes = tuple[Axis, Axis, Axis]
"""How a video is cut in time, height and width."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """One axis, in units of what is cut (`given`, `step`) and of what is made (`made`, `shared`)."""

    given: int
    step: int
    made: int
    shared: int


_Cuts = tuple[_Cut, _Cut, _Cut]


def encode_tiled(run: Run, frames: Tensor, axes: Axes) -> Tensor:
    """The latents of frames [B, 3, T, H, W]; tiles are blended with neighbours that were blended themselves."""
    cuts = [_Cut(a.tile * a.stride, (a.tile - a.overlap) * a.stride, a.tile, a.overlap) for a in axes]
    return _tiled(run, frames, (cuts[0], cuts[1], cuts[2]), keep_raw=False)


def decode_tiled(run: Run, latents: Tensor, axes: Axes) -> Tensor:
    """The frames of latents [B, Z, L, h, w]; tiles are blended with their neighbours as they were made."""
    cuts = [_Cut(a.tile, a.tile - a.overlap, a.tile * a.stride, a.overlap * a.stride) for a in axes]
    return _tiled(run, latents, (cuts[0], cuts[1], cuts[2]), keep_raw=True)


def _tiled(run: Run, video: Tensor, cuts: _Cuts, *, keep_raw: bool) -> Tensor:
    times, rows, columns = (range(0, video.shape[dim], cut.step) for dim, cut in zip(_DIMS, cuts, strict=True))
    tiles: dict[Place, Tensor] = {}
    slabs = []
    for t, _ in enumerate(times):
        tiles = {place: tile for place, tile in tiles.items() if place[0] == t - 1 and cuts[0].shared}
        strips = []
        for h, _ in enumerate(rows):
            blended = []
            for w, _ in enumerate(columns):
                tile = run(_cut(video, (t, h, w), cuts))
                whole = _blended(tile, (t, h, w), tiles, cuts)
                tiles[t, h, w] = tile if keep_raw else whole
                blended.append(_kept(whole, cuts))
            strips.append(torch.cat(blended, dim=4))
        slabs.append(torch.cat(strips, dim=3))
    return slabs[0] if len(slabs) == 1 else torch.cat(slabs, dim=2)


def _cut(video: Tensor, place: Place, cuts: _Cuts) -> Tensor:
    for dim, index, cut in zip(_DIMS, place, cuts, strict=True):
        start = index * cut.step
        video = video.narrow(dim, start, min(cut.given, video.shape[dim] - start))
    return video


def _kept(tile: Tensor, cuts: _Cuts) -> Tensor:
    for dim, cut in zip(_DIMS, cuts, strict=True):
        tile = tile.narrow(dim, 0, min(cut.made - cut.shared, tile.shape[dim]))
    return tile


def _blended(tile: Tensor, place: Place, tiles: Mapping[Place, Tensor], cuts: _Cuts) -> Tensor:
    """The tile with its first part faded in over the end of the tiles before it: in time, in height, in width."""
    for number, (dim, cut) in enumerate(zip(_DIMS, cuts, strict=True)):
        t, h, w = (index - (axis == number) for axis, index in enumerate(place))
        if cut.shared and (t, h, w) in tiles:
            tile = _faded(tiles[t, h, w], tile, dim=dim, length=cut.shared)
    return tile


def _faded(before: Tensor, tile: Tensor, *, dim: int, length: int) -> Tensor:
    length = min(length, before.shape[dim], tile.shape[dim])
    share = torch.arange(length, device=tile.device, dtype=tile.dtype) / length
    share = share.view([-1 if at == dim else 1 for at in range(tile.ndim)])
    end = before.narrow(dim, before.shape[dim] - length, length)
    start = tile.narrow(dim, 0, length)
    return torch.cat([end * (1.0 - share) + start * share, tile.narrow(dim, length, tile.shape[dim] - length)], dim=dim)
