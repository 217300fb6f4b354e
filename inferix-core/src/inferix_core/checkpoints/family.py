"""What is known of the weights of one family of models: their names, shapes, places and sources; free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from inferix_core.checkpoints.tensors import LazyTensor, Shape

TRANSFORMER = "transformer"
"""The part that a model's release is named after."""
TOKENIZER = "tokenizer"
"""The part that has no tensors."""

ACCEPTED_DTYPES = ("float16", "bfloat16", "float32", "float64")
"""The dtypes that weights may have in a file, by torch's names."""

Host = Literal["huggingface.co", "github.com"]
"""Where repositories of weights are that can be fetched from."""

Shapes = dict[str, Shape]
"""Names of tensors to their shapes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a checkpoint is: a part of a model, the official network that it is (None for another size), its dimensions.

    `part` is "transformer", "vae", "text_encoder" …
    """

    part: str
    network: str | None
    dimensions: tuple[tuple[str, int], ...]

    @property
    def label(self) -> str:
        """`the t2v-14B transformer (dim 5120, layers 40, channels in 16)`."""
        part = self.part.replace("_", " ")
        known = (self.network or "").removesuffix(f"-{self.part}")
        name = f"the {known} {part}" if known else f"a {part} of no released size"
        return f"{name} ({', '.join(f'{what} {length}' for what, length in self.dimensions)})"

    @property
    def is_certain(self) -> bool:
        """Whether the tensors that tell the dimensions are all there."""
        return all(length > 0 for _, length in self.dimensions)


@dataclass(frozen=True, slots=True)
class Source:
    """The official files of one component: a repository and what their names match."""

    part: str
    repository: str
    patterns: tuple[str, ...]
    licence: str
    host: Host = "huggingface.co"

    @property
    def address(self) -> str:
        """Where people find the repository."""
        return f"https://{self.host}/{self.repository}"

    def matches(self, name: str) -> bool:
        """Whether a file of the repository belongs to the component."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Release:
    """The weights of a model in one size, or of a decoder of its own: the networks that it takes, its parts, the one
    that it is named after first, and where each comes from.

    `setting` is how a configuration asks for it, where its model has several. `from_trainer` says that its transformer
    lies in a trainer's file, which alone tells it from a bare one with the same tensors.
    """

    model: str
    networks: tuple[str, ...]
    parts: tuple[str, ...]
    sources: tuple[Source, ...]
    setting: str = ""
    from_trainer: bool = False


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How a tokenizer's folder is told: by its name, and by one of the files in it."""

    label: str
    folders: tuple[str, ...]
    files: tuple[str, ...]


def _as_they_are(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    return tensors


@dataclass(frozen=True, kw_only=True)
class Family:
    """The weights of one family of models. Implementations of the hook `inferix_weights` are built as
    `implementation(config)` and return one.
    """

    label: str
    """`the Wan family`."""
    places: Mapping[str, Sequence[str]]
    """Where each part is in a folder that holds several: patterns of files and folders, the first that matches."""
    networks: Mapping[str, Callable[[], Shapes]]
    """Name of an official network to its tensors, which are made when asked for."""
    releases: Mapping[str, Release]
    """Release to what it takes; a model may have several, which differ in size."""
    decoders: Mapping[str, Release] = field(default_factory=dict)
    """The same of decoders that every one of its models may be shown with instead of its own."""
    recognised: Callable[[Mapping[str, Shape]], Kind | None]
    """What tensors of these names and shapes are; None if they are none of the family."""
    official: Callable[[Mapping[str, LazyTensor]], Mapping[str, LazyTensor]] = _as_they_are
    """The tensors under the official names, where those of another layout are found."""
    tokenizers: tuple[Tokenizer, ...] = ()
    """The tokenizers that belong to its text encoders."""
    unread: tuple[str, ...] = ()
    """What the names of official tensors begin with that no model reads."""
    dtypes: tuple[str, ...] = ACCEPTED_DTYPES
    """The dtypes that weights may have in a file, by torch's names."""
    ambiguity: str = field(default="", repr=False)
    """What to say where a bare transformer may be one that a release takes from a trainer's file."""
