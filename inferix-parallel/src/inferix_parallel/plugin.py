"""What this package brings, declared without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

from inferix_parallel.configuration import (
    AutomaticConfig,
    HybridConfig,
    PipelineConfig,
    RingConfig,
    UlyssesConfig,
    XfuserConfig,
)

if TYPE_CHECKING:
    import typer

_COUNTED = frozenset({"counted"})


@hookimpl
def inferix_parallel_strategies() -> Iterable[Spec]:
    """Strategies that spread every pass of a world."""
    yield Spec(
        name="ulysses",
        summary="Each rank computes a share of the tokens, and attends with and keeps a share of the heads.",
        implementation="inferix_parallel.sequence:ulysses",
        config=UlyssesConfig,
        provides=_COUNTED,
    )
    yield Spec(
        name="ring",
        summary="Each rank computes and keeps a share of each latent's tokens; queries, or keys, go round.",
        implementation="inferix_parallel.sequence:ring",
        config=RingConfig,
        provides=_COUNTED,
    )
    yield Spec(
        name="hybrid",
        summary="Rings of ranks for the tokens, Ulysses for the heads inside each part of them.",
        implementation="inferix_parallel.sequence:hybrid",
        config=HybridConfig,
        provides=_COUNTED,
    )
    yield Spec(
        name="pipeline",
        summary="Each rank has a group of layers with their pages; worlds and blocks in flight follow one another.",
        implementation="inferix_parallel.pipeline:Pipeline",
        config=PipelineConfig,
        provides=_COUNTED,
    )
    yield Spec(
        name="xfuser",
        summary="As ulysses, by xDiT's package (extra xfuser): CUDA alone, and shares of one size.",
        implementation="inferix_parallel.xdit:XfuserUlysses",
        config=XfuserConfig,
    )
    yield Spec(
        name="auto",
        summary="One of these, chosen by what the world asks for and what the ranks' machines and links can do.",
        implementation="inferix_parallel.automatic:automatic",
        config=AutomaticConfig,
        provides=_COUNTED | {"workload"},
    )


@hookimpl
def inferix_add_commands(cli: typer.Typer) -> None:
    """`inferix parallel`."""
    from inferix_parallel.commands import application  # only the command line needs it

    cli.add_typer(application, name="parallel")
