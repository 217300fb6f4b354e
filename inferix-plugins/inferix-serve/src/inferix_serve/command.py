"""`inferix serve`. Importing this loads neither torch nor a web framework."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from inferix_core import Catalog, apply_overrides, load_toml
from inferix_core.errors import ConfigError

_DEFAULT_REWIND_BLOCKS = 16
"""How far the default world can be rewound: 12 s. Another model's preset says what it can afford."""


def serve(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="The model; see `inferix models`.")] = None,
    preset: Annotated[str | None, typer.Option(help="One of the model's presets.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file as of `inferix generate`, with a table [serve].")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one key, e.g. serve.limits.max_worlds=4."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; any but this machine's needs a token.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="INFERIX_TOKEN", show_envvar=True, help="What viewers must know. Better in the variable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name under which the server is reached.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where worlds and videos are kept.")] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="Where a world goes out as well: rtmp://host/live/name, or live.m3u8."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="SCRIPT.TOML", help="Carry out a script as a viewer would, record what it sees, and end."),
    ] = None,
) -> None:
    """Open a page on which a world is watched while it is made, and steered with prompts and keys."""
    from inferix_serve.settings import settings_from

    catalog: Catalog = context.obj.catalog
    raw: dict[str, Any] = apply_overrides(load_toml(config) if config is not None else {}, overrides or ())
    table = raw.pop("serve", {})
    if not isinstance(table, dict):
        raise ConfigError(f"serve: a table is needed, found {table!r}.")
    options = {"host": host, "port": port, "token": token, "folder": folder, "allowed_hosts": allow_host}
    options["outputs"] = output
    table = table | {key: value for key, value in options.items() if value is not None}
    named = {key: value for key, value in (("use", model), ("preset", preset)) if value is not None}
    if named:
        raw["model"] = {**raw.get("model", {}), **named}
    elif not raw.get("model") and "num_rewind_blocks" not in raw.get("world", {}):
        raw["world"] = {**raw.get("world", {}), "num_rewind_blocks": _DEFAULT_REWIND_BLOCKS}
    if record is not None:
        from inferix_serve.script import read_script

        script = read_script(record)
        settings = settings_from({**table, "host": "127.0.0.1", "port": 0})
        from inferix_serve.recording import record_script  # from here on torch is needed

        record_script(script, raw, settings, catalog)
        return
    settings = settings_from(table)
    from rich.console import Console

    from inferix_serve.running import Server, build_hall  # from here on torch is needed

    console = Console(highlight=False)
    with console.status("Loading the model …"):
        hall = build_hall(raw, (), settings, catalog)
    try:
        Server(hall, on_ready=lambda address: console.print(f"Open {address} (Ctrl-C ends it)")).run()
    finally:
        hall.engine.close()  # profilers write what they measured
