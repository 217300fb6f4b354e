"""The checker's report: a line for each case, for each output where asked, and a count at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from outcome import CaseResult, OutputResult, Verdict

_NUM_VERDICT_LETTERS = max(len(verdict.value) for verdict in Verdict)


def print_result(result: CaseResult, *, width: int, verbose: bool) -> None:
    """One case, its name padded to `width`; where `verbose`, its outputs below it."""
    verdict = result.verdict.value.ljust(_NUM_VERDICT_LETTERS)
    print(f"{verdict}  {result.name.ljust(width)}  {_detail(result)}", flush=True)
    if not verbose:
        return
    name_width = max((len(output.name) for output in result.outputs), default=0)
    for output in result.outputs:
        print(f"    {'good' if output.is_good else 'BAD '}  {output.name.ljust(name_width)}  {_measured(output)}")


def print_summary(results: Sequence[CaseResult]) -> None:
    """How many cases ended how."""
    counts = Counter(result.verdict for result in results)
    print(f"{len(results)} cases: " + ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict))


def _detail(result: CaseResult) -> str:
    worst = result.worst
    if worst is None:
        return result.reason
    return f"{len(result.outputs):4} outputs, worst {worst.name}: {_measured(worst)}  [{result.seconds:.1f} s]"


def _measured(output: OutputResult) -> str:
    if output.problem:
        return output.problem
    return f"max error {output.error:.2e}, tolerance {output.tolerance:.2e}"
