"""Where keys and values lie (stores), which stay and are seen (policies), how precisely they are kept (codecs).

A page is one latent of one layer. Committed pages are immutable; drafts are the keys and values
of blocks that are still being made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from inferix_core.plan import Entry

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
        """Bytes of device memory that this cache alone keeps alive."""

    def reserve(self, latents: Sequence[int]) -> None:
        """Makes room for `latents` in every layer, or raises `CapacityError` and changes nothing."""

    def write(self, layer: int, latents: range, fields: Mapping[str, Tensor]) -> None:
        """Writes drafts of reserved latents: fields `[tokens, ...]`. Later writes replace earlier ones."""

    def commit(self, latents: range) -> None:
        """Makes pages of what was last written for `latents` in every layer."""

    def uncommit(self, latents: range) -> None:
        """Makes drafts of pages again, when the step that committed them failed."""

    def drop(self, latents: Sequence[int]) -> None:
        """Forgets pages or reservations; their room can be used again."""

    def segments(self, layer: int, ranges: Sequence[range]) -> list[Segment]:
        """Tokens of the latents in the ascending `ranges`, pages and drafts alike, adjacent ones merged.

        Fields are `[1, tokens, ...]` and must not be modified. Asking for a latent that is neither
        held nor written is the caller's bug.
        """

    def fork(self) -> KVCache:
        """A cache with the same committed pages. Raises `UnsupportedError` unless the store provides "fork"."""

    def close(self) -> None:
        """Gives all room back. The cache is not used afterwards."""


class KVStore(Protocol):
    """Makes caches. Built as `implementation(config, *, layout, capacity, device, dtype)`.

    `capacity` is the most latents one world holds at a time under the chosen policy, None if unbounded.
    """

    def create(self) -> KVCache:
        """An empty cache for one world."""


class KVPolicy(Protocol):
    """Which latents stay and which are seen. Built as `implementation(config)`; pure Python over latents."""

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """Of the ascending `held`, those that stay when the block `upcoming` begins."""

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """Of the ascending `available` (stored and in the pass, up to the entry's end), those the entry attends to.

        The entry's own latents are always among the result.
        """

    def capacity(self, num_block_latents: int) -> int | None:
        """The most latents held at a time, the current block included; None if there is no bound."""


class KVCodec(Protocol):
    """In which precision pages are kept. Built as `implementation(config, *, layout)`."""

    def encode(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One page's fields `[tokens, ...]` as they are stored. Deterministic; the input is unchanged."""

    def decode(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The fields again, in the model's dtype, with the error that the codec's summary states."""
