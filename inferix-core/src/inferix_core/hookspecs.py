"""The hooks through which plugins take part."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from inferix_core.specs import ModelSpec, Spec, StreamerSpec

if TYPE_CHECKING:
    import typer

    from inferix_core.events import Block, BlockRun, PassRun

PROJECT = "inferix"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def inferix_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """The models this plugin brings."""


@hookspec
def inferix_kv_stores() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Where pages lie."""


@hookspec
def inferix_kv_policies() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Which latents stay and which are visible."""


@hookspec
def inferix_kv_codecs() -> Iterable[Spec]:  # type: ignore[empty-body]
    """In which precision pages are kept."""


@hookspec
def inferix_attention_backends() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Attention kernels."""


@hookspec
def inferix_schedulers() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Planners."""


@hookspec
def inferix_solvers() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Update rules."""


@hookspec
def inferix_decoders() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Latents to frames."""


@hookspec
def inferix_quantizers() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Weights in lower precision."""


@hookspec
def inferix_streamers() -> Iterable[StreamerSpec]:  # type: ignore[empty-body]
    """Where frames go."""


@hookspec
def inferix_profilers() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Measuring."""


@hookspec
def inferix_parallel_strategies() -> Iterable[Spec]:  # type: ignore[empty-body]
    """One world over several ranks."""


@hookspec
def inferix_weights() -> Iterable[Spec]:  # type: ignore[empty-body]
    """What is known of a family's weights, for `inferix weights`: implementations return a `Family`."""


@hookspec
def inferix_add_commands(cli: typer.Typer) -> None:
    """Adds sub-commands to `inferix`."""


@hookspec
def inferix_run_block(run: BlockRun) -> Generator[None, object, object]:  # type: ignore[empty-body]
    """Wraps the making of one block (use `hookimpl(wrapper=True)`).

    Where a run overlaps decoding (`overlap_decode`) the next block's begins before this one's ends, which is when the
    block is given out: what the caller does with the block before lies between. A block that is made ahead and given
    up ends with `GeneratorExit`.
    """


@hookspec
def inferix_run_pass(run: PassRun) -> Generator[None, object, object]:  # type: ignore[empty-body]
    """Wraps one pass through the network (use `hookimpl(wrapper=True)`)."""


@hookspec
def inferix_frames(block: Block) -> None:
    """Told of every block that is handed out. An observer that raises is dropped with a warning."""


@hookspec
def inferix_report(summary: Mapping[str, Any]) -> None:
    """Told what a finished run measured. An observer that raises is dropped with a warning."""
