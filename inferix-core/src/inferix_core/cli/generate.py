"""`inferix generate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from inferix_core.cli.choices import (
    ConfigOption,
    ModelOption,
    PresetOption,
    RanksOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    resolved,
    with_strategy,
)
from inferix_core.cli.recorded import saved_config
from inferix_core.cli.request import BeginningFile, checked_request
from inferix_core.cli.session import Session
from inferix_core.errors import ConfigError
from inferix_core.ranks.environment import rank_environment


def generate(
    context: typer.Context,
    prompt: Annotated[
        str | None,
        typer.Argument(help="What the world shows. Not needed with --resume or --script.", show_default=False),
    ] = None,
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
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file of prompts and actions with their times; see docs/worlds.md."),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture that the world begins with, where the model can.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A video that the world goes on from, where the model can.")
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            metavar="crop|pad|stretch",
            help="What becomes of a picture or video of another aspect ratio; left out, what the model does.",
        ),
    ] = None,
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Also write one picture with frames of the whole video.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Whether an output that exists may be replaced.")] = True,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Go on with a saved world, with its model and settings; see `--set`."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the world at the end, also on Ctrl-C; may be the file of --resume."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the world's log at the end; see `inferix replay`.")
    ] = None,
    threads: ThreadsOption = None,
    ranks: RanksOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the whole log.")] = False,
) -> None:
    """Generate a video of a world from a prompt, or go on with a saved world."""
    session: Session = context.obj
    if debug:
        session.enable_debug()
    place = rank_environment()
    overrides = [*([] if ranks is None else [f"ranks.count={ranks}"]), *(overrides or ())]
    if resume is None:
        configuration = resolved(
            session.catalog,
            config=config,
            model=model,
            preset=preset,
            seed=seed,
            threads=threads,
            overrides=overrides,
        )
    else:
        _check_left_out(
            resume,
            {
                "--model": model,
                "--preset": preset,
                "--config": config,
                "--seed": seed,
                "--image": image,
                "--video": video,
            },
        )
        configuration = saved_config(resume, session.catalog, overrides=overrides, threads=threads)
    configuration = with_strategy(configuration, session.catalog, num_ranks=place.num_ranks)
    if place.rank > 0:
        from inferix_core.cli.ranks import follow  # from here on torch is needed

        follow(configuration, session.catalog)
        return
    request = checked_request(
        prompt=prompt,
        seconds=seconds,
        output=output,
        prompts_at=prompt_at or (),
        actions_at=action_at or (),
        script=script,
        contact_sheet=contact_sheet,
        overwrite=overwrite,
        config=configuration,
        catalog=session.catalog,
        beginning=_beginning(image, video, fit),
        resume=resume,
        save=save,
        log=log,
    )
    num_ranks = configuration.run.ranks.count or 1
    if num_ranks > 1 and place.num_ranks == 1:
        from inferix_core.ranks.launching import run_ranks  # this process needs no torch but for that

        raise typer.Exit(run_ranks(session.arguments, num_ranks=num_ranks))
    from rich.console import Console

    from inferix_core.cli.generation import run_generation  # from here on torch is needed

    run_generation(request, Console())


def _beginning(image: Path | None, video: Path | None, fit: str | None) -> BeginningFile | None:
    if image is not None and video is not None:
        raise ConfigError("A world begins with a picture or with a video: give --image or --video.")
    path = image or video
    if path is None and fit is not None:
        raise ConfigError("--fit is of a picture or a video: give --image or --video with it, or leave it out.")
    return None if path is None else BeginningFile(path, is_video=path == video, fit=fit)


def _check_left_out(resume: Path, options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(
            f"--resume takes the model, the settings and the seed from the world in '{resume}', so it cannot be given "
            f"with {', '.join(given)}. Change a setting with --set, and the seed with `inferix world fork --seeds`."
        )
