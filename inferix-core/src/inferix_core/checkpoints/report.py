"""What `inferix weights check` found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferix_core.checkpoints.survey import Found
from inferix_core.checkpoints.verdict import Checked, Verdict, sources_of

_GIGABYTE = 1e9


def as_table(checked: Checked) -> dict[str, Any]:
    """The findings and verdicts as what JSON can hold."""
    return {
        "path": str(checked.path),
        "complete": checked.is_complete,
        "found": [
            {
                "path": str(each.path),
                "part": each.part,
                "network": each.network,
                "description": each.description,
                "files": each.num_files,
                "bytes": each.num_bytes,
                "tensors": each.num_tensors,
                "dtypes": list(each.dtypes),
                "state_dict": each.state_dict,
                "state_dicts": list(each.state_dicts),
                "fits": list(each.models),
                "problems": list(each.problems),
            }
            for each in checked.found
        ],
        "models": {verdict.name: _as_table(verdict) for verdict in checked.verdicts},
    }


def as_lines(checked: Checked) -> Iterator[str]:
    """The same to be read."""
    yield f"{checked.path}"
    for each in checked.found:
        yield from _lines_of(each, checked)
    if not checked.found:
        yield "  no checkpoint and no tokenizer"
    for verdict in checked.verdicts if checked.model is not None or not checked.is_one_part else ():
        yield from _lines_of_verdict(verdict, checked)
    if not checked.verdicts:
        yield "Nothing here belongs to a model whose package is installed."
    if checked.ambiguity:
        yield checked.ambiguity


def _as_table(verdict: Verdict) -> dict[str, Any]:
    missing = [
        {
            "part": part,
            "repository": source.repository if source else None,
            "files": ", ".join(source.patterns) if source else None,
            "licence": source.licence if source else None,
        }
        for part, source in sources_of(verdict.missing, verdict.release).items()
    ]
    return {"complete": verdict.is_complete, "missing": missing}


def _lines_of(each: Found, checked: Checked) -> Iterator[str]:
    name = each.path.relative_to(checked.path).as_posix() if each.path != checked.path else each.path.name
    part = (each.part or "–").replace("_", " ")
    facts = [each.description, f"{each.num_bytes / _GIGABYTE:.2f} GB"]
    if each.num_files > 1:
        facts.append(f"{each.num_files} files")
    if each.dtypes:
        facts.append(" and ".join(each.dtypes))
    if each.state_dict is not None:
        others = [other for other in each.state_dicts if other != each.state_dict]
        facts.append(f"from '{each.state_dict}'" + (f", beside {', '.join(others)}" if others else ""))
    yield f"  {part:<14}  {name}: {', '.join(facts)}"
    if each.family is not None and each.models:
        fits = f"every model of {each.family.label}" if _fits_all(each) else ", ".join(each.models)
        yield f"  {'':<14}  fits {fits}"
    for problem in each.problems:
        yield f"  {'':<14}  ✗ {problem}"


def _fits_all(found: Found) -> bool:
    return found.family is not None and len(found.models) == len(found.family.releases)


def _lines_of_verdict(verdict: Verdict, checked: Checked) -> Iterator[str]:
    if verdict.is_complete:
        yield f"{verdict.name}: {'this part fits' if checked.is_one_part else 'complete'}"
        return
    yield f"{verdict.name}: {'does not fit' if checked.is_one_part else 'incomplete'}; it lacks"
    for part, source in sources_of(verdict.missing, verdict.release).items():
        title = f"  {part.replace('_', ' '):<14}  "
        if source is None:
            yield f"{title}no official file is known"
            continue
        yield f"{title}{', '.join(source.patterns)} from {source.address}"
        yield f"  {'':<14}  licence: {source.licence}"
