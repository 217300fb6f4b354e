"""From the configuration in a saved world or a log to a resolved one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inferix_core.catalog import Catalog
from inferix_core.configuration import ResolvedConfig, apply_overrides, merge, resolve
from inferix_core.errors import ConfigError

DeviceOption = Annotated[str | None, typer.Option(help="Where the model runs: auto, cpu, mps, cuda or cuda:N.")]
RecordedSetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key otherwise than in the file. May be repeated."),
]


def recorded_config(
    config: Mapping[str, Any] | None,
    path: Path,
    catalog: Catalog,
    *,
    overrides: Iterable[str] | None,
    device: str | None = None,
    threads: int | None = None,
) -> ResolvedConfig:
    """The configuration that the file at `path` holds, the options over it, `--set` over those.

    What measures a run and where its frames went are no part of it. Raises `ConfigError`.
    """
    if config is None:
        raise ConfigError(
            f"'{path}' comes from an engine that was made of parts in Python, so it names no configuration. "
            "Make the same engine in Python; see docs/worlds.md."
        )
    settings = (("device", device), ("num_threads", threads), ("num_decoder_threads", threads))
    options = {key: value for key, value in settings if value is not None}
    kept = {key: value for key, value in config.items() if key not in ("profilers", "output", "ranks")}
    return resolve(merge(kept, apply_overrides(options, overrides or ())), catalog)


def saved_config(
    path: Path,
    catalog: Catalog,
    *,
    overrides: Iterable[str] | None,
    device: str | None = None,
    threads: int | None = None,
) -> ResolvedConfig:
    """The same for the configuration that a saved world goes on with. Raises `WorldFileError` for a file that is none.

    It is that of the engine which saved the world; what it began with is in `recording_in(path)`.
    """
    from inferix_core.worldfile import describe  # commands that read no world need none of it

    return recorded_config(describe(path).config, path, catalog, overrides=overrides, device=device, threads=threads)
