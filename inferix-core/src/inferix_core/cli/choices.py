"""From the options that several commands share to a resolved configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from inferix_core.catalog import Catalog
from inferix_core.configuration import ResolvedConfig, apply_overrides, load_toml, merge, resolve
from inferix_core.errors import ConfigError
from inferix_core.specs import Kind

DEFAULT_STRATEGY = "hybrid"
"""What spreads a world over ranks where nothing else is named.

It takes any number of heads, and its degrees follow from numbers alone: what is chosen by measurement may be another
the next time, and then the same seed makes frames that differ by rounding.
"""

ModelOption = Annotated[str | None, typer.Option(help="The model; see `inferix models`.")]
PresetOption = Annotated[str | None, typer.Option(help="One of the model's presets; see `inferix models`.")]
ConfigOption = Annotated[Path | None, typer.Option(help="A TOML file; see `inferix schema`.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key, e.g. kv.policy.use=full. May be repeated."),
]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same frames.")]
RanksOption = Annotated[
    int | None, typer.Option(min=1, help="Spread the world over so many processes; see `parallel` in `inferix schema`.")
]
ThreadsOption = Annotated[int | None, typer.Option(help="CPU threads for the network and for the decoder.")]


def resolved(
    catalog: Catalog,
    *,
    config: Path | None,
    model: str | None,
    preset: str | None,
    seed: int | None,
    threads: int | None,
    overrides: Iterable[str] | None,
) -> ResolvedConfig:
    """The configuration: the file, the options over it, `--set` over those. Raises `ConfigError`."""
    raw: dict[str, Any] = load_toml(config) if config is not None else {}
    named = {key: value for key, value in (("use", model), ("preset", preset)) if value is not None}
    options: dict[str, Any] = {"model": named} if named else {}
    settings = (("seed", seed), ("num_threads", threads), ("num_decoder_threads", threads))
    options |= {key: value for key, value in settings if value is not None}
    return resolve(apply_overrides(merge(raw, options), overrides or ()), catalog)


def with_strategy(config: ResolvedConfig, catalog: Catalog, *, num_ranks: int) -> ResolvedConfig:
    """The configuration with the default strategy, where several ranks were asked for and none was named.

    Raises `ConfigError` where `num_ranks` processes run and another number was asked for.
    """
    asked = config.run.ranks.count or 1
    if num_ranks > 1 and asked not in (1, num_ranks):
        raise ConfigError(
            f"{asked} ranks were asked for, but torchrun has started {num_ranks}. Ask for {num_ranks}, or leave "
            "--ranks out."
        )
    if max(asked, num_ranks) == 1 or config.selected(Kind.PARALLEL) is not None:
        return config
    return resolve(apply_overrides(config.effective, [f"parallel.use={DEFAULT_STRATEGY}"]), catalog)
