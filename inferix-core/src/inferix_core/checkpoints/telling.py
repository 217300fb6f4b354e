"""What names and shapes of tensors tell of a network; free of torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from inferix_core.checkpoints.tensors import Shape


def has_any(names: Iterable[str], *prefixes: str) -> bool:
    """Whether a name begins with one of the prefixes."""
    return any(name.startswith(prefixes) for name in names)


def axis_length(shapes: Mapping[str, Shape], axis: int, *names: str) -> int:
    """The length of an axis of the first of the tensors that is there; 0 if none is."""
    return next((shapes[name][axis] for name in names if len(shapes.get(name, ())) > max(axis, 0)), 0)


def num_numbered(names: Iterable[str], pattern: str) -> int:
    """One more than the largest number that the pattern's group finds where names begin; 0 if there is none."""
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)
