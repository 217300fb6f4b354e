"""The golden checker: `python tests/golden/check.py DIR [--only PATTERN] [--verbose]`.

Runs every case of a golden folder through our public classes and prints error against tolerance.
Cases that cannot be run yet are listed as unsupported, never as passed. Exit status: 0 if nothing
failed, 1 if a case failed, 2 for a folder or a pattern that cannot be used.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # before torch loads: spinning threads starve a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")

from folder import Case, FolderError, read_cases
from outcome import CaseResult, OutputResult, Unsupported, Verdict
from report import print_result, print_summary

Runner = Callable[..., Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks a folder, prints the report, returns the exit status."""
    parser = argparse.ArgumentParser(prog="check.py", description="Checks golden cases through our public classes.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder with an index.json and its files")
    parser.add_argument("--only", metavar="PATTERN", help="run only cases whose name matches, e.g. 'sf_pipe_*'")
    parser.add_argument("--verbose", action="store_true", help="print every output, and tracebacks of failures")
    options = parser.parse_args(arguments)
    try:
        cases = read_cases(options.folder, only=options.only)
    except FolderError as error:
        print(error, file=sys.stderr)
        return 2
    width = max(len(case.name) for case in cases)
    results = []
    for result in run_cases(cases, verbose=options.verbose):
        print_result(result, width=width, verbose=options.verbose)
        results.append(result)
    print_summary(results)
    return int(any(result.verdict is Verdict.FAILED for result in results))


def run_cases(cases: Sequence[Case], *, verbose: bool = False) -> Iterator[CaseResult]:
    """The result of each case, as soon as it is there."""
    for case in cases:
        start = time.perf_counter()
        result = _run(case, verbose=verbose)
        yield replace(result, seconds=time.perf_counter() - start)


def _run(case: Case, *, verbose: bool) -> CaseResult:
    if not case.path.is_file():
        return CaseResult(case.name, Verdict.ABSENT, reason=f"{case.path.name} is not in this folder")
    if damage := case.damage():
        return CaseResult(case.name, Verdict.FAILED, reason=f"damaged file: {damage}")
    runner = _runner(case)
    if runner is None:
        return CaseResult(case.name, Verdict.UNSUPPORTED, reason="no runner for this case yet")
    try:
        outputs = _compared(case, runner)
    except Unsupported as missing:
        return CaseResult(case.name, Verdict.UNSUPPORTED, reason=str(missing))
    except Exception as error:  # whatever a case raises, the other cases are still worth running
        if verbose:
            traceback.print_exc()
        return CaseResult(case.name, Verdict.FAILED, reason=f"{type(error).__name__}: {error}")
    if not outputs:
        return CaseResult(case.name, Verdict.FAILED, reason="the case holds no output to compare")
    verdict = Verdict.PASSED if all(output.is_good for output in outputs) else Verdict.FAILED
    return CaseResult(case.name, verdict, outputs)


def _compared(case: Case, runner: Runner) -> list[OutputResult]:
    from comparison import compare_json, compare_tensors  # loads torch, which a mistaken call need not wait for

    if case.is_table:
        table = case.table()
        return compare_json(runner(case.entry, table), table)
    import torch

    tensors = case.tensors()
    given = [patterns for pattern, patterns in _registered("INPUTS") if fnmatchcase(case.name, pattern)]
    expected = {name: tensor.clone() for name, tensor in case.outputs(tensors, *given).items()}
    with torch.inference_mode():
        got = runner(case.entry, tensors)
    return compare_tensors(got, expected, case.tolerance(expected))


def _runner(case: Case) -> Runner | None:
    runners = _registered("TABLES" if case.is_table else "CASES")
    return next((runner for pattern, runner in runners if fnmatchcase(case.name, pattern)), None)


def _registered(what: str) -> Iterator[tuple[str, Any]]:
    """The (pattern, value) pairs in a list of that name, over all registries: the `*_cases.py` beside this file.

    `CASES` and `TABLES` hold runners; `INPUTS` the patterns of tensors that are given, for cases whose
    format does not say it. A registry may lack a list.
    """
    for path in sorted(Path(__file__).parent.glob("*_cases.py")):
        yield from getattr(importlib.import_module(path.stem), what, [])


if __name__ == "__main__":
    sys.exit(main())
