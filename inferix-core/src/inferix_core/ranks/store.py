"""Where ranks leave word for one another: what is needed of torch.distributed's stores."""

from __future__ import annotations

from typing import Any, Protocol, Self, cast


class Store(Protocol):
    """Keys and values that all ranks share. One connection is used by one thread."""

    def set(self, key: str, value: bytes) -> None:
        """Leaves a value, at most 8 MiB."""

    def get(self, key: str) -> bytes:
        """The value, which is there."""

    def check(self, keys: list[str]) -> bool:
        """Whether all of the keys are there."""

    def add(self, key: str, amount: int) -> int:
        """Adds to a number that is 0 at first; the sum."""

    def delete_key(self, key: str) -> bool:
        """Forgets a key; whether it was there."""

    def clone(self) -> Self:
        """Another connection to the same store."""


def under(prefix: str, store: Any) -> Store:
    """A store whose keys lie under a prefix in one of torch.distributed's."""
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    return cast("Store", PrefixStore(prefix, store))
