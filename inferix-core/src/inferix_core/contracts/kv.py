"""Where keys and values lie (stores), which stay and are seen (policies), how precisely they are kept (codecs).

A page is one latent of one layer. Committed pages are immutable; drafts are the keys and values
of blocks that are still being made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from inferix_core.plan import Entry, KVLayout

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.contracts.attention import Segment


class KVCache(Protocol):
    """The pages of one world in one cache, over all layers. Latents are named by their absolute index."""

    @property
    def held(self) -> tuple[int, ...]:
        """The latents with committed pages, ascending."""

    @property
    def reserved(self) -> tuple[int, ...]:
        """The latents with room but no committed pages yet, ascending."""

    @property
    def num_bytes(self) -> int:
        """Bytes of device memory that it takes, those of pages that it shares with forks included."""

    def reserve(self, latents: Sequence[int]) -> None:
        """Makes room for `latents` in every layer, or raises `CapacityError` and changes nothing."""

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """Writes drafts of reserved latents: fields `[rows, ...]`. Later writes replace earlier ones."""

    def commit(self, latents: range) -> None:
        """Makes pages of what was last written for `latents` in every layer."""

    def uncommit(self, latents: range) -> None:
        """Makes drafts of pages again, when the step that committed them failed."""

    def drop(self, latents: Sequence[int]) -> None:
        """Forgets pages or reservations; their room can be used again."""

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """Rows of the latents in the ascending `ranges`, pages and drafts alike, adjacent ones merged.

        Fields are `[1, rows, ...]` and must not be modified; they are valid until the cache is next changed or, in a
        store that fetches pages, asked again. Asking for a latent that is neither held nor written is the
        caller's bug.
        """

    def fork(self) -> KVCache:
        """A cache with the same committed pages, without drafts and reservations.

        Raises `UnsupportedError` unless the store provides "fork".
        """

    def close(self) -> None:
        """Gives all room back. The cache is not used afterwards."""


class KVStore(Protocol):
    """Makes caches. Built as `implementation(config, *, layout, capacity, device, dtype)`.

    `capacity` is the most latents one world holds at a time under the chosen policy, None if unbounded. A store
    that cannot be without a bound provides "bounded" and raises `ConfigError` for None. One whose forks hold their
    pages together provides "shared-pages".
    """

    @property
    def num_bytes(self) -> int:
        """Bytes of device memory that its caches use, pages that several of them share counted once."""

    @property
    def num_reserved_bytes(self) -> int:
        """Bytes of device memory that it has taken from the system, room that no cache uses at the moment included."""

    def create(self) -> KVCache:
        """An empty cache for one world."""


class KVPolicy(Protocol):
    """Which latents stay and which are seen. Built as `implementation(config)`; pure Python over latents.

    A policy whose spec provides "relevance" is a `RelevancePolicy`.
    """

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """Of the ascending `held`, those that stay when the block `upcoming` begins."""

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """Of the ascending `available` (stored and in the pass, up to the entry's end), those the entry attends to.

        The entry's own latents are always among the result.
        """

    def capacity(self, num_block_latents: int) -> int | None:
        """The most latents held at a time, the current block included; None if there is no bound."""


class RelevancePolicy(Protocol):
    """A policy that chooses by content: both questions come with `relevance`, a score for each held latent.

    The score is the mean over layers and heads of the scaled product of two means, neither of them rotated: of the
    latent's keys, and of the queries of the last block that was committed. It is worked out when a block begins
    and is the same for all passes of that block. Latents without a score (none was committed before them) are
    missing in it.
    """

    def retained(self, held: Sequence[int], upcoming: range, *, relevance: Mapping[int, float]) -> Sequence[int]:
        """See `KVPolicy.retained`."""

    def visible(self, entry: Entry, available: Sequence[int], *, relevance: Mapping[int, float]) -> Sequence[int]:
        """See `KVPolicy.visible`."""

    def capacity(self, num_block_latents: int) -> int | None:
        """See `KVPolicy.capacity`."""


class KVCodec(Protocol):
    """In which precision pages are kept. Built as `implementation(config, *, layout, dtype)`.

    `layout` and `dtype` are the model's. A spec provides "lossy" unless what is decoded equals what was encoded,
    bit for bit. Pages are encoded when a later block begins; until then, and as drafts, they are exact.
    The first `num_exact_sink_latents` of a world and the last `num_exact_recent_latents` before the block that
    is being made are never encoded, or not yet.

    Letters: P pages.
    """

    layout: KVLayout
    """How a page is kept: as many layers, and the codec's own fields."""
    num_exact_sink_latents: int
    num_exact_recent_latents: int

    def encode(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Pages of one layer, fields `[P, tokens, ...]`, as they are kept, `[P, rows, ...]`.

        Deterministic, and each page by itself; the input is unchanged.
        """

    def decode(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The fields again, in the model's dtype, with the error that the codec's summary states."""
