"""What comes of a golden case: its verdict and, for each output, how far it is off."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Unsupported(Exception):  # noqa: N818 - it is no error: the case is listed as not run yet
    """Raised by a runner for a case that our code cannot run yet; the message says why."""


class Verdict(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNSUPPORTED = "unsupported"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class OutputResult:
    """One output: its largest error and the tolerance there, or the problem that kept it from being compared."""

    name: str
    error: float
    tolerance: float
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the output agrees with the golden one."""
        return not self.problem and self.error <= self.tolerance

    @property
    def badness(self) -> tuple[bool, bool, float]:
        """Orders outputs from best to worst."""
        share = self.error / self.tolerance if self.tolerance else self.error
        return (not self.is_good, bool(self.problem), share)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: verdict, outputs, and the reason where there is nothing to compare."""

    name: str
    verdict: Verdict
    outputs: list[OutputResult] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0

    @property
    def worst(self) -> OutputResult | None:
        """The output that is furthest off for its tolerance."""
        return max(self.outputs, key=lambda output: output.badness, default=None)
