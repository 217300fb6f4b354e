"""Whether all ranks are the same program: plugins, versions, configuration, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inferix_core import __version__
from inferix_core.errors import RankError
from inferix_core.replay.recording import flat

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.ranks.line import Line

_MOST_TOLD = 8


def described(config: ResolvedConfig, catalog: Catalog) -> dict[str, str]:
    """What a rank must have in common with the others, as key to value."""
    import torch

    from inferix_core.worldfile.identity import settings_of

    found: dict[str, Any] = {"inferix-core": __version__, "torch": torch.__version__}
    for one in catalog.inventory():
        words = one.split()
        num_names = 1 if ":" in words[0] else 2  # a plugin, or a component behind its kind
        found[" ".join(words[:num_names])] = " ".join(words[num_names:])
    for kind, selected in config.selections.items():
        settings = {"use": selected.component.qualified_name, **settings_of(selected)}
        found |= flat(settings, f"{kind.slug}.")
    found |= flat(config.run.model_dump(mode="json"))
    return {key: str(value) for key, value in sorted(found.items())}


def compare(line: Line, mine: Mapping[str, str]) -> None:
    """Raises `RankError` on every rank, naming what differs where, unless all ranks describe themselves alike."""
    everyone = [json.loads(one) for one in line.gathered("described", json.dumps(mine))]
    if told := differences(everyone):
        more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        raise RankError(
            f"The ranks of a run must be alike, but {'; '.join(told[:_MOST_TOLD])}{more}. Install the same packages "
            "and give the same configuration and checkpoints on every machine."
        )


def differences(everyone: Sequence[Mapping[str, str]]) -> list[str]:
    """What is not as on rank 0, each with the first rank where it is not."""
    first, told = everyone[0], []
    keys = sorted({key for one in everyone for key in one})
    for key in keys:
        for rank, one in enumerate(everyone):
            if one.get(key) != first.get(key):
                here, there = one.get(key, "absent"), first.get(key, "absent")
                told.append(f"{key} is {there} on rank 0 and {here} on rank {rank}")
                break
    return told
