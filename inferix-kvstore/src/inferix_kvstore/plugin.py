"""What this package brings, declared without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

from inferix_kvstore.config import SinkWindowConfig, WindowConfig


@hookimpl
def inferix_kv_policies() -> Iterable[Spec]:
    """Policies of bounded memory."""
    yield Spec(
        name="window",
        summary="The last latents stay, the current block included.",
        implementation="inferix_kvstore.window:WindowPolicy",
        config=WindowConfig,
    )
    yield Spec(
        name="sink-window",
        summary="The first latents of the world stay for ever, and the last ones besides (Self Forcing).",
        implementation="inferix_kvstore.window:SinkWindowPolicy",
        config=SinkWindowConfig,
    )
