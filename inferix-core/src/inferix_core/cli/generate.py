"""`inferix generate`."""

from __future__ import annotations

from typing import Annotated

import typer

from inferix_core.cli.choices import (
    ConfigOption,
    ModelOption,
    PresetOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    resolved,
)
from inferix_core.cli.request import checked_request
from inferix_core.cli.session import Session


def generate(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What the world shows.", show_default=False)],
    model: ModelOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    seconds: Annotated[float, typer.Option(help="How long the video is.")] = 5.0,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A file (its suffix chooses the format), a folder, or an address.")
    ] = "inferix.mp4",
    seed: SeedOption = None,
    prompt_at: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME TEXT", help='Change the prompt on the way, e.g. 4s "a red ball at night".'),
    ] = None,
    action_at: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME ACTION", help="Act on the way, e.g. 2s left. Actions: see `inferix models`."),
    ] = None,
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Also write one picture with frames of the whole video.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Whether an output that exists may be replaced.")] = True,
    threads: ThreadsOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the whole log.")] = False,
) -> None:
    """Generate a video of a world from a prompt."""
    session: Session = context.obj
    if debug:
        session.enable_debug()
    request = checked_request(
        prompt=prompt,
        seconds=seconds,
        output=output,
        prompts_at=prompt_at or (),
        actions_at=action_at or (),
        contact_sheet=contact_sheet,
        overwrite=overwrite,
        config=resolved(
            session.catalog,
            config=config,
            model=model,
            preset=preset,
            seed=seed,
            threads=threads,
            overrides=overrides,
        ),
        catalog=session.catalog,
    )
    from rich.console import Console

    from inferix_core.cli.generation import run_generation  # from here on torch is needed

    run_generation(request, Console())
