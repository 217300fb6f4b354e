"""A world to a file and back.

The format and what a file says of itself are in `inferix_core.worldfile`; `describe` there gives a summary. The
journal is not saved: a world that was loaded can be rewound to where it was saved, not beyond. Nor are drafts, which
every pass makes anew, and keys and values of conditions, which are worked out again from their tokens.

An engine that a world is loaded into may have another policy, codec or device than the one that saved it. Then no one
engine makes all of its frames again, and its log says from when on: a `ChangeRecord`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from loguru import logger

from inferix_core.errors import WorldFileError
from inferix_core.runtime.coded import CodedCache
from inferix_core.runtime.log import ChangeRecord
from inferix_core.runtime.split_decoding import SplitDecoding
from inferix_core.runtime.world import World
from inferix_core.worldfile.decoding import codec_to_decode_with
from inferix_core.worldfile.identity import differences, identity_of
from inferix_core.worldfile.manifest import ENCODED, EXACT, TierEntry, page_name
from inferix_core.worldfile.packing import packed
from inferix_core.worldfile.pages import fill, tiers_of
from inferix_core.worldfile.spread_pages import SpreadPages
from inferix_core.worldfile.tensors import write_world_file
from inferix_core.worldfile.unpacking import check, unpacked
from inferix_core.worldfile.world_file import WorldFile, opened

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.kv import KVCache, KVCodec
    from inferix_core.runtime.engine import Engine

Pages = Callable[[str, int], Mapping[str, "Tensor"]]
"""The fields `[L, rows, ...]` of the pages that are held in a tier of one cache, for one layer."""

_NUM_NAMED = 4


def save_world(world: World, path: Path) -> None:
    """See `World.save`. Besides the file it needs memory for one layer's pages at most.

    Of a world over several ranks the first writes what the others send: the file is as one rank would write it.
    """
    parts, follows = world.engine.parts, world.engine.follows
    with torch.inference_mode():
        if parts.spread is None or parts.spread.ranks.num_ranks == 1:
            write_world_file(path, *packed(world))
            return
        pages = SpreadPages(parts.spread, codec=parts.whole_codec)
        decoder, decoder_state = world.engine.decoder, world.state.decoder_state
        if isinstance(decoder, SplitDecoding):
            with parts.spread.collective():
                decoder_state = decoder.whole_state(decoder_state)
        with parts.spread.in_step():
            manifest, sources = packed(world, pages=pages, decoder_state=decoder_state)
        try:
            if not follows:
                write_world_file(path, manifest, sources)
        finally:
            sources.bring(pages.missing)  # the others send what they have, whether it is written or not


def load_world(engine: Engine, path: Path) -> World:
    """See `Engine.load_world`. The file is read twice: to check every byte, and to load it."""
    with opened(path) as file, torch.inference_mode():
        file.verify()
        check(file)
        _check_identity(file, engine)
        saved = file.manifest.codec
        codec = codec_to_decode_with(saved, engine)
        found = unpacked(file, world_id=engine.next_id(), device=engine.device)
        if isinstance(engine.decoder, SplitDecoding):
            found.state.decoder_state = engine.decoder.own_state(found.state.decoder_state)
        if changes := file.manifest.engine.differences(engine):
            found.state.log.add(ChangeRecord(found.state.num_finished, tuple(changes)))
        try:
            for name, tiers in file.manifest.state.caches.items():
                cache = found.state.caches[name] = engine.parts.store.create()
                pages = _pages_in(file, name, engine.device)
                if engine.parts.spread is None:
                    _fill(cache, tiers, pages, num_layers=engine.parts.model.layout.num_layers, codec=codec)
                else:
                    _fill_part(cache, tiers, pages, engine=engine, codec=codec)
            world = engine.world_of(found.state)
        except BaseException:
            found.state.close()
            raise
    if found.surplus is not None:
        world.put_back(found.surplus)
    if codec is not None and saved is not None:
        logger.warning(f"The pages in '{path}' were kept by '{saved.use}'; they are kept decoded from here on.")
    return world


def _fill(
    cache: KVCache, tiers: Mapping[str, TierEntry], pages: Pages, *, num_layers: int, codec: KVCodec | _AsItIs | None
) -> None:
    """Puts saved pages into an empty cache: as they are, or those that `codec` kept decoded."""
    if codec is None:
        for tier, one in tiers_of(cache).items():
            fill(one, tiers[tier], num_layers, partial(pages, tier))
        return
    exact, encoded = tiers[EXACT], tiers[ENCODED]
    latents = (*exact.held, *encoded.held)
    order = sorted(range(len(latents)), key=latents.__getitem__)

    def decoded(layer: int) -> dict[str, Tensor]:
        parts = [pages(EXACT, layer)] if exact.held else []
        if encoded.held:
            parts.append(codec.decode(pages(ENCODED, layer)))
        return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}

    fill(cache, TierEntry(held=tuple(sorted(latents)), reserved=exact.reserved), num_layers, decoded)


def _fill_part(
    cache: KVCache, tiers: Mapping[str, TierEntry], pages: Pages, *, engine: Engine, codec: KVCodec | None
) -> None:
    """Puts what this rank keeps of saved pages into an empty cache.

    Encoded pages are decoded, cut, and encoded again where the engine has a codec: the numbers that share a scale are
    others in a part.
    """
    spread, whole = engine.parts.spread, codec or engine.parts.whole_codec
    assert spread is not None, "the world lies over ranks"
    local = cache.codec if isinstance(cache, CodedCache) else None

    def mine(tier: str, layer: int) -> Mapping[str, Tensor]:
        fields = pages(tier, spread.share.layers[layer])
        if tier == ENCODED and whole is not None:
            fields = whole.decode(fields)
        parts = {name: spread.part_of(values, name) for name, values in fields.items()}
        return local.encode(parts) if tier == ENCODED and local is not None else parts

    if local is not None and whole is None:  # one rank, whose pages are whole
        _fill(cache, tiers, pages, num_layers=len(spread.share.layers), codec=None)
        return
    _fill(cache, tiers, mine, num_layers=len(spread.share.layers), codec=_AsItIs() if codec is not None else None)


class _AsItIs:
    """Stands for the codec of pages that are decoded already."""

    def decode(self, stored: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The same fields."""
        return stored


def _pages_in(file: WorldFile, cache: str, device: torch.device) -> Pages:
    layouts = file.manifest.layouts

    def pages(tier: str, layer: int) -> dict[str, Tensor]:
        fields = layouts[tier].fields
        return {name: file.tensor(page_name(cache, tier, layer, name)).to(device) for name in fields}

    return pages


def _check_identity(file: WorldFile, engine: Engine) -> None:
    found = differences(file.manifest.identity, identity_of(engine))
    if not found:
        return
    more = f"; and {len(found) - _NUM_NAMED} more" if len(found) > _NUM_NAMED else ""
    raise WorldFileError(
        f"'{file.path}' holds a world of another engine: {'; '.join(found[:_NUM_NAMED])}{more}. "
        "Load it with the configuration that it was saved with, which `inferix world show --json` prints."
    )
