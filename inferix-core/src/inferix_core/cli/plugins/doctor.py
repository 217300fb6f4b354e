"""`inferix plugins doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from inferix_core.cli.session import Session


def doctor(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Look for what is wrong with what is installed, and say how to mend it. Ends with 1 where there is a problem."""
    from inferix_core.catalog.diagnosis import diagnose

    session: Session = context.obj
    findings = diagnose(session.catalog)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, soft_wrap=True)
        for finding in findings:
            mark, style = ("problem", "red") if finding.is_problem else ("note   ", "dim")
            console.print(Text.assemble((mark, style), f" {finding.subject}: {finding.message}"))
        num_problems = sum(finding.is_problem for finding in findings)
        console.print("No problem was found." if num_problems == 0 else f"Problems: {num_problems}")
    if any(finding.is_problem for finding in findings):
        raise typer.Exit(1)
