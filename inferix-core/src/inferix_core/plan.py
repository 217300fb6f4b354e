"""The pure data of a plan: what passes through the network, at which level, and what comes of it.

Nothing here knows a tensor. A planner returns these objects, the loop executes them,
policies and solvers are told parts of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAIN_CACHE = "main"


@dataclass(frozen=True, slots=True)
class Level:
    """A place on the noise schedule.

    `index` numbers the levels of one schedule from noise (0) to clean and keys the noise that is
    drawn on arriving there; `time` is what the network is told; `sigma` is the share of noise
    (1 is pure noise, 0 is clean).
    """

    index: int
    time: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One block's part in a pass.

    `latents` are absolute and name pages, `first_position` is where rotary positions start for
    them; the two differ after a restart. `sees` lists the blocks of the same pass whose drafts
    this entry may attend to, itself included; None means every block up to and including its
    own. `weight` scales the entry's prediction where several entries or passes guide one block.
    `branch` tells the model under which of the block's conditions the entry runs ("signal", or a
    guidance branch such as "null"). `reads_cache` is False for an entry that sees nothing stored.
    Keys and values of such an entry are used in the pass and never written; a block may be in a pass
    twice, once with and once without the cache. The first `num_pinned_latents` of the entry are
    overwritten by the same latents of the world's prefix before the forward, and stay so.
    """

    block: int
    latents: range
    first_position: int
    level: Level
    branch: str = "signal"
    sees: tuple[int, ...] | None = None
    weight: float = 1.0
    reads_cache: bool = True
    num_pinned_latents: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """The solver moves `block` from `level` to `target` with the predictions gathered for it."""

    block: int
    level: Level
    target: Level


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward through the network over the entries: those that write the cache in ascending order, others last.

    `commits` names the blocks whose keys and values become pages of `cache`; `updates` are
    solved after the forward from every prediction gathered since the block's last update;
    `finishes` names the blocks that are clean from here on and may be decoded.
    `step_size` is told to networks that embed the size of the solver's step (distilled ones).
    """

    entries: tuple[Entry, ...]
    updates: tuple[Update, ...] = ()
    commits: tuple[int, ...] = ()
    finishes: tuple[int, ...] = ()
    cache: str = MAIN_CACHE
    step_size: float | None = None

    @property
    def predicts(self) -> bool:
        """Whether any prediction of this pass is used."""
        return any(entry.weight != 0.0 for entry in self.entries) and not self.is_clean_only

    @property
    def is_clean_only(self) -> bool:
        """Whether the pass only rewrites keys and values (nothing is predicted from it)."""
        return not self.updates and all(entry.block in self.commits for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Prefill:
    """A clean pass over given latents (a prefix), which then count as a finished block. `step_size` is as in `Pass`."""

    entry: Entry
    cache: str = MAIN_CACHE
    step_size: float | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """Positions start again while blocks and latents count on: every page of `cache` goes.

    The clean latents of `carry`, whose pages were among them, are passed again at the entry's level and
    positions and committed. No block may be in flight. With `from_anchor` the first of them is replaced by the
    latent of the frame that the block before has emitted as its `anchor`, as the first latent of a video that begins
    there.
    """

    carry: Entry | None
    cache: str = MAIN_CACHE
    from_anchor: bool = False


@dataclass(frozen=True, slots=True)
class Emit:
    """The viewer gets `frames` of the decoded `block`; None means all of them.

    Where `latents` is given, the decoder is handed these latents of the block alone (none: no frames),
    for decoders that start anew at each block. Where `behind` is given, the decoder starts anew with the clean
    latents that are held there, and their frames come before the block's. `anchor` is the index of a frame among all
    that are decoded: it is encoded as a video of its own, for a restart in the next block; there the decoder must
    start anew, since its history ends with this.
    """

    block: int
    frames: slice | None = None
    latents: range | None = None
    behind: range | None = None
    anchor: int | None = None


Op = Pass | Prefill | Restart | Emit


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a world is: all that a planner may know.

    `num_finished` blocks are finished; `num_prefix_latents` latents were given at the start.
    `horizon` is the number of blocks the world will have, None for a live world without an end.
    """

    num_finished: int = 0
    num_prefix_latents: int = 0
    horizon: int | None = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of what a model makes.

    `latent_shape` is (channels, height, width) of one latent; `num_frames_first` frames come of
    the very first latent and `num_frames_per_latent` of each later one.
    """

    latent_shape: tuple[int, int, int]
    tokens_per_latent: int
    frame_height: int
    frame_width: int
    fps: float
    num_frames_first: int = 1
    num_frames_per_latent: int = 4

    def num_frames(self, latents: range) -> int:
        """How many frames the decoder makes of `latents` in a stream that began at latent 0."""
        first = self.num_frames_first if latents.start == 0 and len(latents) else 0
        rest = len(latents) - (1 if first else 0)
        return first + rest * self.num_frames_per_latent


@dataclass(frozen=True, slots=True)
class FieldShape:
    """One named field of a page: `num_rows` rows (None: one for each token) of `shape`, and a dtype name.

    Without a dtype it is the model's. Codecs have fields of fewer rows, e.g. one scale for a group of tokens.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    num_rows: int | None = None


@dataclass(frozen=True, slots=True)
class KVLayout:
    """What is kept of each latent in each layer; stores hold it and never interpret it."""

    num_layers: int
    tokens_per_latent: int
    fields: dict[str, FieldShape] = field(default_factory=dict)

    def page_shape(self, name: str) -> tuple[int, ...]:
        """The shape `[rows, ...]` of one field of a page."""
        field = self.fields[name]
        return (self.tokens_per_latent if field.num_rows is None else field.num_rows, *field.shape)
