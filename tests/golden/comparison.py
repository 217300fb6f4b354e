"""The rule of the golden data: `|got - expected| <= atol + rtol * |expected|`, and integers exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from outcome import OutputResult
from torch import Tensor

_SHARE_OF_PIXELS = 0.001
"""How many pixels may be 1 off where a case allows some to be."""


def compare_tensors(
    got: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: Mapping[str, Any]
) -> list[OutputResult]:
    """One result for each expected output. Outputs that are missing, misshapen or not finite have a problem."""
    results = []
    for name, wanted in expected.items():
        atol = float(tolerance.get("atol_per_output", {}).get(name, tolerance.get("atol", 0.0)))
        rtol = float(tolerance.get("rtol_per_output", {}).get(name, tolerance.get("rtol", 0.0)))
        if name in got and wanted.dtype == torch.uint8 and "uint8" in tolerance:
            results.append(_compare_pixels(name, got[name], wanted))
        elif name in got:
            results.append(_compare(name, got[name], wanted, atol=atol, rtol=rtol))
        else:
            results.append(OutputResult(name, float("nan"), atol, "the runner made no such output"))
    return results


def compare_json(got: Any, expected: Any) -> list[OutputResult]:
    """One result for each member of a table's top-level lists (one in all where it has none, or of words); all exact.

    Other top-level values describe the table. The error counts the values that differ, and the problem
    names the first of them.
    """
    results = []
    for name, wanted in _parts(expected):
        differences = list(_differences(_lookup(got, name), wanted, path=""))
        problem = f"first difference {differences[0]}" if differences else ""
        results.append(OutputResult(name, float(len(differences)), 0.0, problem))
    return results


def _compare_pixels(name: str, got: Tensor, wanted: Tensor) -> OutputResult:
    """Pixels that were cut off to whole numbers: some may be 1 off, where the number before was next to a whole one."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return OutputResult(name, float("nan"), 1.0, f"{got.dtype} {list(got.shape)}, not uint8 {list(wanted.shape)}")
    error = (got.int() - wanted.int()).abs()
    largest, num_off = int(error.max()), int((error > 0).sum())
    is_good = largest <= 1 and num_off < _SHARE_OF_PIXELS * error.numel()
    problem = "" if is_good else f"{num_off} of {error.numel()} pixels differ, by up to {largest}"
    return OutputResult(name, float(largest), 1.0, problem)


def _compare(name: str, got: Tensor, wanted: Tensor, *, atol: float, rtol: float) -> OutputResult:
    if got.shape != wanted.shape:
        return OutputResult(name, float("nan"), atol, f"shape {list(got.shape)} instead of {list(wanted.shape)}")
    if wanted.numel() == 0:
        return OutputResult(name, 0.0, atol)
    if not wanted.is_floating_point():
        if got.is_floating_point():
            return OutputResult(name, float("nan"), 0.0, f"{got.dtype} where {wanted.dtype} is exact")
        num_wrong = int((got.to(torch.int64) != wanted.to(torch.int64)).sum())
        return OutputResult(name, float(num_wrong), 0.0, f"{num_wrong} integers differ" if num_wrong else "")
    if bool(got.isnan().any()):
        return OutputResult(name, float("nan"), atol, f"{int(got.isnan().sum())} of {got.numel()} values are NaN")
    finite = torch.isfinite(wanted)
    if not torch.equal(got[~finite].double(), wanted[~finite].double()) or not bool(got[finite].isfinite().all()):
        return OutputResult(name, float("nan"), atol, "infinite where the golden output is not, or the reverse")
    error = (got[finite].double() - wanted[finite].double()).abs()
    allowed = atol + rtol * wanted[finite].double().abs()
    if error.numel() == 0:
        return OutputResult(name, 0.0, atol)
    worst = int((error - allowed).argmax()) if allowed.min() == 0 else int((error / allowed).argmax())
    return OutputResult(name, float(error[worst]), float(allowed[worst]))


def _parts(expected: Any) -> Iterator[tuple[str, Any]]:
    members = expected.items() if isinstance(expected, dict) else ()
    lists = {key: part for key, part in members if isinstance(part, list) and not _is_description(part)}
    if not lists:
        yield "table", expected
    for key, part in lists.items():
        yield from ((_member_name(key, index, member), member) for index, member in enumerate(part))
        yield f"len({key})", len(part)


def _is_description(part: list[Any]) -> bool:
    """Whether a list holds words alone, e.g. the names of what a table applies to."""
    return bool(part) and all(isinstance(member, str) for member in part)


def _member_name(key: str, index: int, member: Any) -> str:
    """`runs[name]` where the member has a name, `runs[3]` where not."""
    named = isinstance(member, dict) and isinstance(member.get("name"), str)
    return f"{key}[{member['name'] if named else index}]"


def _lookup(got: Any, name: str) -> Any:
    """The part called `name` by `_parts`; None where there is none."""
    return dict(_parts(got)).get(name)


def _differences(got: Any, wanted: Any, *, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in [*wanted, *(key for key in got if key not in wanted)]:
            yield from _differences(got.get(key, "<nothing>"), wanted.get(key, "<nothing>"), path=f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(got, list) and len(got) == len(wanted):
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            yield from _differences(one, other, path=f"{path}[{index}]")
    elif isinstance(got, bool) != isinstance(wanted, bool) or got != wanted:
        yield f"{path or 'here'}: got {got!r}, expected {wanted!r}"
