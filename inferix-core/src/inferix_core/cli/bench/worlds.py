"""`inferix bench worlds`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from inferix_core.bench.results import check_targets, write_json
from inferix_core.cli.bench.options import (
    EngineChoice,
    JsonOption,
    JsonPathOption,
    chooses_engine,
    print_json,
    progress_console,
)
from inferix_core.cli.session import Session
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.bench.world_operations import Operations


@chooses_engine
def worlds(
    context: typer.Context,
    choice: EngineChoice,
    latents: Annotated[int, typer.Option(min=1, help="How long the world is that is forked and saved.")] = 21,
    children: Annotated[int, typer.Option(min=1, help="How many forks go on together.")] = 8,
    blocks: Annotated[int, typer.Option(min=1, help="For how many blocks they go on.")] = 3,
    as_json: JsonOption = False,
    json_path: JsonPathOption = None,
) -> None:
    """Measure what it costs to fork, rewind, save and load a world.

    Without a configuration file the store is `paged`, where it is installed, and every latent is kept; --set changes
    that. Without a model: a mid-size Wan with random weights, and the embedded world.
    """
    session: Session = context.obj
    check_targets(json_path=json_path, plot=None)
    stores = {component.name for component in session.catalog.components(Kind.KV_STORE)}
    below = ["kv.policy.use=full", *(["kv.store.use=paged"] if "paged" in stores else [])]
    choices = choice.or_usual(session.catalog)
    configurations = [one.resolved(session.catalog, below=below) for one in choices]
    from inferix_core.bench.world_operations import measure_operations
    from inferix_core.runtime.engine import Engine

    measured = []
    for one, configuration in zip(choices, configurations, strict=True):
        title = one.title(configuration)
        with progress_console().status(f"{title} …"):
            operations = measure_operations(
                Engine.build(configuration, session.catalog),
                prompt=one.prompt,
                num_latents=latents,
                num_children=children,
                num_blocks=blocks,
            )
        kept = {name: dict(configuration.effective["kv"].get(name, {})) for name in ("store", "policy", "codec")}
        measured.append({"model": title, "kv": kept, **asdict(operations)})
        if as_json:
            print_json(measured[-1])
        else:
            typer.echo("\n".join([f"{title}, {kept['store'].get('use')} store:", *_lines(operations)]))
    if json_path is not None:
        write_json({"worlds": measured}, json_path)


def _lines(operations: Operations) -> Iterator[str]:
    yield (
        f"  world   {operations.num_latents} latents held, {_mebibytes(operations.num_world_bytes)} of keys and "
        f"values, decoder state {_mebibytes(operations.num_decoder_bytes)}, "
        f"{operations.block_milliseconds:.1f} ms per block"
    )
    if (forks := operations.forks) is None:
        yield "  fork    the store cannot"
    else:
        expected = "" if forks.num_expected_bytes is None else f" ({_mebibytes(forks.num_expected_bytes)} expected)"
        yield (
            f"  fork    {forks.fork_milliseconds:.3f} ms, +{forks.num_forked_bytes} bytes ({forks.forked_share:.2%}); "
            f"{forks.num_children} at once {forks.fork_all_milliseconds:.3f} ms"
        )
        yield (
            f"          after {forks.num_blocks} blocks of {forks.num_children} children "
            f"{_mebibytes(forks.num_family_bytes)} in all{expected}"
        )
    if (rewinds := operations.rewinds) is None:
        yield "  rewind  the store cannot"
    else:
        yield (
            f"  rewind  {rewinds.milliseconds:.3f} ms; a boundary keeps a decoder state and the pages given up since, "
            f"here {_mebibytes(rewinds.num_journal_bytes)}"
        )
    if (files := operations.files) is None:
        yield "  save    this world cannot be saved"
    else:
        yield (
            f"  save    {files.save_milliseconds:.1f} ms, load {files.load_milliseconds:.1f} ms, "
            f"a file of {_mebibytes(files.num_file_bytes)}"
        )


def _mebibytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.2f} MiB"
