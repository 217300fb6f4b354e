"""Into how many parts tokens and heads are cut, and what does not divide."""

from __future__ import annotations

from dataclasses import dataclass

from inferix_core.contracts.parallel import BY_HEADS, Share, parts_of
from inferix_core.errors import ConfigError
from inferix_core.plan import KVLayout


@dataclass(frozen=True, slots=True)
class Heads:
    """Query heads and key heads of a model's attention; None where they are not known or there are none."""

    queries: int | None
    keys: int | None

    @classmethod
    def of(cls, layout: KVLayout, num_heads: int | None) -> Heads:
        """Those of a model with that layout, which says so of its query heads, or does not."""
        keys = [layout.fields[name].shape[0] for name in BY_HEADS if name in layout.fields]
        return cls(num_heads, keys[0] if keys else None)

    def fit(self, degree: int) -> bool:
        """Whether the heads can be cut into `degree` parts: key heads that are fewer are held by several ranks."""
        if self.queries is not None and self.queries % degree:
            return False
        if self.keys is None:
            return True
        return self.keys % degree == 0 or (self.queries is not None and degree % self.keys == 0)

    def fitting(self) -> list[int]:
        """All degrees that fit; empty where no number of heads is known."""
        most = self.queries or self.keys or 0
        return [degree for degree in range(1, most + 1) if self.fit(degree)]


@dataclass(frozen=True, slots=True)
class Degrees:
    """`ring` parts of each latent's tokens, and in each of them `ulysses` parts of the heads.

    Rank r * ulysses + u has part u of the heads of part r of the tokens.
    """

    ring: int = 1
    ulysses: int = 1

    @property
    def num_ranks(self) -> int:
        """How many ranks they need."""
        return self.ring * self.ulysses

    def check(self, layout: KVLayout, heads: Heads) -> None:
        """Raises `ConfigError` for heads or tokens that cannot be cut so, with degrees that would do."""
        if not heads.fit(self.ulysses):
            raise ConfigError(
                f"{_said(heads)} cannot be split over {self.ulysses} ranks; {_listed(heads.fitting())} would work. "
                "Use as many ranks, or parallel.use = 'ring' or 'hybrid', which cut tokens too."
            )
        parts_of(layout.tokens_per_latent, self.num_ranks, what="tokens of a latent")

    def shares(self, layout: KVLayout) -> tuple[Share, ...]:
        """What each rank has of a model with that layout."""
        tokens = parts_of(layout.tokens_per_latent, self.num_ranks, what="tokens of a latent")
        shares = []
        for rank, own in enumerate(tokens):
            first = rank - rank % self.ulysses
            kept = range(tokens[first].start, tokens[first + self.ulysses - 1].stop)
            shares.append(Share(own, kept, range(layout.num_layers), rank % self.ulysses, self.ulysses))
        return tuple(shares)


def stages(layout: KVLayout, num_ranks: int) -> tuple[Share, ...]:
    """What each rank has where layers are cut into groups. Raises `ConfigError` for fewer layers than ranks."""
    tokens = range(layout.tokens_per_latent)
    return tuple(Share(tokens, tokens, layers) for layers in parts_of(layout.num_layers, num_ranks, what="layers"))


def hybrid_degrees(num_ranks: int, heads: Heads, *, ring: int | None, ulysses: int | None) -> Degrees:
    """The degrees that were asked for, and for one that was not the one that fits. Raises `ConfigError`.

    On one rank they count for nothing, so that a world of several can go on there.
    """
    if num_ranks == 1:
        return Degrees()
    if ring is None and ulysses is None:
        ulysses = max((one for one in heads.fitting() if num_ranks % one == 0), default=1)
    if ring is None:
        ring = num_ranks // (ulysses or 1)
    if ulysses is None:
        ulysses = num_ranks // ring
    if ring * ulysses != num_ranks:
        pairs = ", ".join(f"{num_ranks // one} x {one}" for one in heads.fitting() if num_ranks % one == 0)
        raise ConfigError(
            f"parallel: ring {ring} times ulysses {ulysses} are {ring * ulysses} ranks, but there are {num_ranks}. "
            f"With this model's heads these pairs would work: {pairs or 'none'}."
        )
    return Degrees(ring, ulysses)


def _said(heads: Heads) -> str:
    if heads.queries is None or heads.queries == heads.keys:
        return f"{heads.keys} heads"
    return f"{heads.queries} query heads" + (f" over {heads.keys} key heads" if heads.keys is not None else "")


def _listed(degrees: list[int]) -> str:
    if len(degrees) < 2:
        return str(degrees[0] if degrees else 1)
    return f"{', '.join(map(str, degrees[:-1]))} or {degrees[-1]}"
