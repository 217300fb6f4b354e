"""What torchrun says to the processes that it starts. Imports no tensor library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from inferix_core.errors import ConfigError

_HOW = "Start the ranks with `inferix generate … --ranks N`, or with torchrun."


@dataclass(frozen=True, slots=True)
class RankEnvironment:
    """A process's place: `rank` of `num_ranks` in all, and `local_rank` on its machine."""

    rank: int = 0
    num_ranks: int = 1
    local_rank: int = 0


def rank_environment(variables: Mapping[str, str] = os.environ) -> RankEnvironment:
    """The place of this process; rank 0 of 1 where torchrun has not started it.

    Raises `ConfigError` where some of what several ranks need is missing or is no number.
    """
    num_ranks = _number(variables, "WORLD_SIZE", default=1)
    if num_ranks == 1:
        return RankEnvironment()
    found = RankEnvironment(
        rank=_number(variables, "RANK"), num_ranks=num_ranks, local_rank=_number(variables, "LOCAL_RANK", default=0)
    )
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not variables.get(name):
            raise ConfigError(f"WORLD_SIZE is {num_ranks}, but {name} is not set, so ranks cannot meet. {_HOW}")
    if not 0 <= found.rank < num_ranks:
        raise ConfigError(f"RANK is {found.rank}, but WORLD_SIZE is {num_ranks}: ranks go from 0 to {num_ranks - 1}.")
    return found


def speaks_for_machine(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the one of its machine's ranks that tells the user what is wrong."""
    return variables.get("WORLD_SIZE", "1") == "1" or variables.get("LOCAL_RANK", variables.get("RANK", "0")) == "0"


def _number(variables: Mapping[str, str], name: str, *, default: int | None = None) -> int:
    text = variables.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        found = "is not set" if text is None else f"is '{text}'"
        raise ConfigError(f"{name} {found}, but should be a number. {_HOW}") from None
