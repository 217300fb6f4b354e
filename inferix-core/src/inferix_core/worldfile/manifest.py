"""The manifest: all of a world that is no tensor, and for each tensor what it must be.

It is JSON. Tensors are named; `Tree` stands for plain data as `trees` writes them.
"""

from __future__ import annotations

import json
from math import prod
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from inferix_core.plan import Geometry, KVLayout
from inferix_core.replay.recording import Origin
from inferix_core.runtime.log import BlockRecord, ChangeRecord, SeedRecord, SignalRecord
from inferix_core.signals import Signal
from inferix_core.worldfile.dtypes import STORED_DTYPES

FORMAT_VERSION = 1
EXACT, ENCODED = "exact", "encoded"
"""The tiers of a cache: pages as they are, and pages in the form in which a codec keeps them."""

Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Tree = Any


class Entry(BaseModel):
    """The base of all entries: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, revalidate_instances="always")


class TensorEntry(Entry):
    """One tensor. Its bytes are row-major after `order`, the permutation of its axes into the order of memory.

    `on_host` says that it lies on the CPU wherever the engine runs.
    """

    name: str
    dtype: Annotated[str, Field(pattern=f"^({'|'.join(STORED_DTYPES)})$")]
    shape: tuple[NonNegativeInt, ...]
    order: tuple[NonNegativeInt, ...] | None = None
    on_host: bool = False
    sha256: Digest

    @property
    def num_bytes(self) -> int:
        """Bytes in the file."""
        return prod(self.shape) * STORED_DTYPES[self.dtype].itemsize


class ComponentEntry(Entry):
    """A component that was chosen by configuration; keys called checkpoint hold the fingerprint of what they name."""

    use: str
    config: dict[str, Any]


class CodecEntry(Entry):
    """The codec of encoded pages. `config` is None where an engine was made of parts; `use` is its class then."""

    use: str
    config: dict[str, Any] | None
    layout: KVLayout
    num_exact_sink_latents: NonNegativeInt
    num_exact_recent_latents: NonNegativeInt


class Identity(Entry):
    """What an engine must have in common with the one that saved the world."""

    geometry: Geometry
    layout: KVLayout
    dtype: str
    latent_dtype: str
    window_relative: bool
    classes: dict[str, str]
    components: dict[str, ComponentEntry] | None


class ConditionEntry(Entry):
    """A condition; blocks name it by its place in the list."""

    tokens: str
    memo: str


class BlockEntry(Entry):
    """A block in flight or waiting to be committed."""

    latents: str
    conditions: dict[str, NonNegativeInt]
    signal_ids: tuple[str, ...]
    history: Tree
    gathered: str | None
    relevance: dict[str, dict[int, float]]


class TierEntry(Entry):
    """One tier of a cache, "exact" or "encoded". Its pages are the tensors `pages.<cache>.<tier>.<layer>.<field>`."""

    held: tuple[int, ...]
    reserved: tuple[int, ...]


class CommittedEntry(Entry):
    """The clean latents of pages, as one tensor with a row for each of `latents`."""

    latents: tuple[int, ...]
    values: str


class MeansEntry(Entry):
    """The means of one cache's pages; a row of `keys` for each of `latents`."""

    latents: tuple[int, ...]
    keys: str | None
    queries: str | None


class SurplusEntry(Entry):
    """Frames that a run left over."""

    index: NonNegativeInt
    frames: str
    span: tuple[NonNegativeInt, NonNegativeInt]


class StateEntry(Entry):
    """A `WorldState`, with the surplus of its world."""

    seed: Seed
    prefix: str | None
    horizon: Annotated[int, Field(ge=1)] | None
    pending: tuple[Signal, ...]
    caches: dict[str, dict[str, TierEntry]]
    flying: dict[int, BlockEntry]
    clean: dict[int, BlockEntry]
    committed: CommittedEntry | None
    condition_table: tuple[ConditionEntry, ...]
    conditions: dict[str, NonNegativeInt] | None
    upcoming: dict[str, NonNegativeInt] | None
    decoder_state: Tree
    num_finished: NonNegativeInt
    num_frames: NonNegativeInt
    means: dict[str, MeansEntry]
    log: tuple[SignalRecord | SeedRecord | BlockRecord | ChangeRecord, ...]
    script: dict[int, tuple[Signal, ...]]
    surplus: SurplusEntry | None
    beginning: dict[str, NonNegativeInt] = Field(default_factory=dict)


class Manifest(Entry):
    """The whole. `engine` is the one that saved the world, `origin` the one that it began in."""

    format_version: int = FORMAT_VERSION
    core_version: str
    engine: Origin
    origin: Origin
    identity: Identity
    codec: CodecEntry | None
    state: StateEntry
    tensors: tuple[TensorEntry, ...] = ()

    @property
    def layouts(self) -> dict[str, KVLayout]:
        """What is kept of a latent in each tier of a cache."""
        return {EXACT: self.identity.layout} | ({} if self.codec is None else {ENCODED: self.codec.layout})

    def to_json(self) -> str:
        """The manifest as text, the same every time."""
        return json.dumps(self.model_dump(), separators=(",", ":"))


def page_name(cache: str, tier: str, layer: int, field: str) -> str:
    """The name of the tensor that holds one field of one layer's pages."""
    return f"pages.{cache}.{tier}.{layer}.{field}"
