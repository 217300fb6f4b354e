"""The embeddings of the latest prompts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor


class EmbeddingCache:
    """Embeddings by text, at most `max_prompts` of them; the one that was not asked for longest makes room."""

    def __init__(self, max_prompts: int) -> None:
        self._max_prompts = max_prompts
        self._embeddings: OrderedDict[str, Tensor] = OrderedDict()
        self.num_hits = 0
        """Prompts whose embeddings were here."""
        self.num_misses = 0
        """Prompts whose embeddings had to be made."""

    def __len__(self) -> int:
        """The number of prompts kept."""
        return len(self._embeddings)

    def get(self, text: str, make: Callable[[], Tensor]) -> Tensor:
        """The embeddings of `text`, from `make` if they are not here. If that raises, nothing changes but the count."""
        kept = self._embeddings.get(text)
        if kept is not None:
            self.num_hits += 1
            self._embeddings.move_to_end(text)
            return kept
        self.num_misses += 1
        made = make()
        self._embeddings[text] = made
        while len(self._embeddings) > self._max_prompts:
            self._embeddings.popitem(last=False)
        return made

    def clear(self) -> None:
        """Lets all embeddings go; the counts stay."""
        self._embeddings.clear()
