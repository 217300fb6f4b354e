"""What this package brings, declared without importing any of it."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

from inferix_kvstore.codecs.configuration import Fp8Config, Int4Config, Int8Config
from inferix_kvstore.policies.configuration import SelectiveConfig, SinkWindowConfig, StridedConfig, WindowConfig
from inferix_kvstore.stores.configuration import OffloadConfig, PagedConfig, RingConfig


@hookimpl
def inferix_kv_stores() -> Iterable[Spec]:
    """Stores that move no page while a block is made."""
    yield Spec(
        name="ring",
        summary="A ring of slots for each world, as many as the policy's window; nothing grows, moves or is shared.",
        implementation="inferix_kvstore.stores.ring:RingStore",
        config=RingConfig,
        provides=frozenset({"bounded", "fork"}),
    )
    yield Spec(
        name="paged",
        summary="Pages in one pool that all worlds share; a fork takes no time and no memory.",
        implementation="inferix_kvstore.stores.paged:PagedStore",
        config=PagedConfig,
        provides=frozenset({"fork", "shared-pages"}),
    )
    yield Spec(
        name="offload",
        summary="As paged; a world's last pages lie on the device, older ones in host memory.",
        implementation="inferix_kvstore.stores.offload:OffloadStore",
        config=OffloadConfig,
        provides=frozenset({"fork", "shared-pages"}),
    )


@hookimpl
def inferix_kv_policies() -> Iterable[Spec]:
    """Policies that do not look at all there was."""
    yield Spec(
        name="window",
        summary="The last latents stay, the current block included.",
        implementation="inferix_kvstore.policies.window:WindowPolicy",
        config=WindowConfig,
    )
    yield Spec(
        name="sink-window",
        summary="The first latents of the world stay for ever, and the last ones besides (Self Forcing).",
        implementation="inferix_kvstore.policies.window:SinkWindowPolicy",
        config=SinkWindowConfig,
    )
    yield Spec(
        name="strided",
        summary="The last latents stay, and of older ones every n-th.",
        implementation="inferix_kvstore.policies.strided:StridedPolicy",
        config=StridedConfig,
    )
    yield Spec(
        name="selective",
        summary="The last latents are seen, and of older ones the most relevant by the means of queries and keys.",
        implementation="inferix_kvstore.policies.selective:SelectivePolicy",
        config=SelectiveConfig,
        provides=frozenset({"relevance"}),
    )


@hookimpl
def inferix_kv_codecs() -> Iterable[Spec]:
    """Pages in fewer bits."""
    yield Spec(
        name="int8",
        summary="8.5 bits for a number of a key (groups of 64 tokens), 8.25 of others at 128 channels; "
        "errors below 1.5 % of a page's largest number, 0.6 % root mean square.",
        implementation="inferix_kvstore.codecs.int8:Int8Codec",
        config=Int8Config,
        provides=frozenset({"lossy"}),
    )
    yield Spec(
        name="fp8",
        summary="8 bits for a number (e4m3, a scale for each head of a page); "
        "errors below 4.5 % of a page's largest number, 2.7 % root mean square.",
        implementation="inferix_kvstore.codecs.fp8:Fp8Codec",
        config=Fp8Config,
        provides=frozenset({"lossy"}),
    )
    yield Spec(
        name="int4",
        summary="5 bits for a number (KIVI, groups of 32); "
        "errors below 8 % of a page's largest number, 8 % root mean square.",
        implementation="inferix_kvstore.codecs.int4:Int4Codec",
        config=Int4Config,
        provides=frozenset({"lossy"}),
    )
