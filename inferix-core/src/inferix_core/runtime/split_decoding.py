"""Decoding that all ranks take part in: each makes some columns of the frames, and the first puts them together.

Letters: L latents, C channels, h, w latent height and width, T frames, H, W frame height and width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from inferix_core.contracts.parallel import Ranks, parts_of
from inferix_core.errors import UnsupportedError
from inferix_core.runtime.columns import RankColumns, mapped
from inferix_core.runtime.transfer import collected
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.contracts.decoder import Decoder, SplitDecoder
    from inferix_core.plan import Geometry


def over_ranks(decoder: Decoder, config: ResolvedConfig, *, geometry: Geometry, ranks: Ranks) -> Decoder:
    """The decoder as `ranks.decode` asks for it. Raises `UnsupportedError` where it cannot be split by columns."""
    settings, component = config.run.ranks, config.required(Kind.DECODER).component
    if ranks.num_ranks == 1 or settings.decode == "first":
        return decoder
    columns = RankColumns(
        parts_of(geometry.latent_shape[2], ranks.num_ranks, what="columns of a latent"), rank=ranks.rank
    )
    if settings.decode == "tiles":
        return TiledDecoding(decoder, columns, rank=ranks.rank, num_overlap=settings.num_overlap_columns)
    if "split-width" not in component.spec.provides:
        raise UnsupportedError(
            f"ranks.decode = 'width' was asked for, but the decoder '{component.name}' does not provide 'split-width'. "
            "Use 'first', or 'tiles', whose frames differ a little."
        )
    return ColumnDecoding(cast("SplitDecoder", decoder), columns, rank=ranks.rank)


class SplitDecoding(ABC):
    """A `Decoder` whose calls are collective. Only the first rank gets frames; each has a state of its own.

    `whole` is the decoder that it splits.
    """

    def __init__(self, decoder: Decoder, columns: RankColumns, *, rank: int) -> None:
        self.whole = decoder
        self.columns = columns
        self.rank = rank

    @abstractmethod
    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `Decoder.decode`; all ranks are given all latents. No frames but on the first rank."""

    @abstractmethod
    def whole_state(self, state: Any) -> Any:
        """The state of one decoder, of all ranks' own. Collective."""

    @abstractmethod
    def own_state(self, whole: Any) -> Any:
        """The state of this rank, of that of one decoder."""

    def put_together(self, frames: Tensor, widths: list[int]) -> list[Tensor]:
        """On the first rank the columns of all ranks, which have these widths; nothing on the others."""
        shapes = [(*frames.shape[:-1], width) for width in widths]
        return collected(frames, shapes, holders=range(len(widths)), rank=self.rank)


class ColumnDecoding(SplitDecoding):
    """Each rank decodes its columns and asks its neighbours for what lies beside them: the frames of one decoder."""

    def __init__(self, decoder: SplitDecoder, columns: RankColumns, *, rank: int) -> None:
        super().__init__(decoder, columns, rank=rank)
        self._decoder = decoder

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `SplitDecoding.decode`."""
        frames, state = self._decoder.decode_columns(self.columns.own(latents), state, columns=self.columns)
        scale = frames.shape[-1] // len(self.columns.mine)
        parts = self.put_together(frames, [len(part) * scale for part in self.columns.parts])
        return (torch.cat(parts, dim=-1) if parts else frames[:0]), state

    def whole_state(self, state: Any) -> Any:
        """See `SplitDecoding.whole_state`."""
        return mapped(state, self.columns.gathered)

    def own_state(self, whole: Any) -> Any:
        """See `SplitDecoding.own_state`."""
        return mapped(whole, lambda x: self.columns.own(x).clone())


class TiledDecoding(SplitDecoding):
    """Each rank decodes its columns and some of its neighbours' for itself; where tiles overlap they are blended.

    An approximation: a decoder whose layers look across a whole picture sees its tile alone.
    """

    def __init__(self, decoder: Decoder, columns: RankColumns, *, rank: int, num_overlap: int) -> None:
        super().__init__(decoder, columns, rank=rank)
        self._decoder = decoder
        end = columns.parts[-1].stop
        self._tiles = [
            range(max(0, part.start - num_overlap), min(end, part.stop + num_overlap)) for part in columns.parts
        ]

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See `SplitDecoding.decode`."""
        tile = self._tiles[self.rank]
        frames, state = self._decoder.decode(latents[..., tile.start : tile.stop], state)
        scale = frames.shape[-1] // len(tile)
        tiles = self.put_together(frames, [len(one) * scale for one in self._tiles])
        return (self._blended(tiles, scale) if tiles else frames[:0]), state

    def whole_state(self, state: Any) -> Any:
        """Raises `UnsupportedError`: what tiles remember of what they share differs."""
        raise UnsupportedError(
            "A world that is decoded in tiles cannot be saved, since what tiles remember does not make one decoder's "
            "state. Set ranks.decode to 'first' or 'width'."
        )

    def own_state(self, whole: Any) -> Any:
        """The part of this rank's tile."""
        tile, end = self._tiles[self.rank], self.columns.parts[-1].stop
        return mapped(whole, lambda x: x[..., tile.start * x.shape[-1] // end : tile.stop * x.shape[-1] // end].clone())

    def _blended(self, tiles: list[Tensor], scale: int) -> Tensor:
        """Frames `[T, 3, H, W]`: each tile counts less towards the edges that it shares."""
        width = self.columns.parts[-1].stop * scale
        total = tiles[0].new_zeros(*tiles[0].shape[:-1], width)
        weights = tiles[0].new_zeros(width)
        for tile, frames in zip(self._tiles, tiles, strict=True):
            columns = torch.arange(frames.shape[-1], device=frames.device, dtype=frames.dtype)
            weight = torch.ones_like(columns)
            for is_edge, distance in ((tile.start == 0, columns), (tile.stop * scale == width, columns.flip(0))):
                if not is_edge:
                    weight = torch.minimum(weight, (distance + 1) / (2 * scale + 1))
            total[..., tile.start * scale : tile.stop * scale] += frames * weight
            weights[tile.start * scale : tile.stop * scale] += weight
        return total / weights
