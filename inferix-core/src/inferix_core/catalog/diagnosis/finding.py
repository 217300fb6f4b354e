"""One thing that a diagnosis found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is so, about what, and what to do; a problem is something to mend, anything else is good to know."""

    subject: str
    message: str
    is_problem: bool = False
