"""The core's own plain defaults, declared the way every plugin declares its components."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.defaults.configuration import DenseConfig
from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec, StreamerSpec


@hookimpl
def inferix_attention_backends() -> Iterable[Spec]:
    """Torch's own attention."""
    yield Spec(
        name="sdpa",
        summary="Torch's scaled dot product attention over the concatenated segments.",
        implementation="inferix_core.defaults.sdpa:SdpaBackend",
        provides=frozenset({"cut-invariant"}),
    )


@hookimpl
def inferix_kv_stores() -> Iterable[Spec]:
    """One buffer for each world."""
    yield Spec(
        name="dense",
        summary="One contiguous buffer for each world.",
        implementation="inferix_core.defaults.dense:DenseStore",
        config=DenseConfig,
        provides=frozenset({"fork"}),
    )


@hookimpl
def inferix_kv_policies() -> Iterable[Spec]:
    """Everything stays."""
    yield Spec(
        name="full",
        summary="Every latent stays and is visible; memory grows with the world's length.",
        implementation="inferix_core.defaults.full:FullPolicy",
    )


@hookimpl
def inferix_kv_codecs() -> Iterable[Spec]:
    """Full precision."""
    yield Spec(
        name="none",
        summary="Pages are kept as they are.",
        implementation="inferix_core.defaults.none:NoCodec",
        provides=frozenset({"identity"}),
    )


@hookimpl
def inferix_streamers() -> Iterable[StreamerSpec]:
    """Frames as an array."""
    yield StreamerSpec(
        name="npy",
        summary="One uint8 array [T, H, W, 3], readable by numpy.load at any time after the first block.",
        implementation="inferix_core.defaults.npy:NpyStreamer",
        targets=(".npy",),
    )
