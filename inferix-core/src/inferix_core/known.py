"""Which official distribution brings what, so that a failed lookup can say what to install."""

from __future__ import annotations

from collections.abc import Mapping

from inferix_core.specs import Kind

KNOWN_COMPONENTS: Mapping[str, Mapping[Kind, tuple[str, ...]]] = {
    "inferix-tinyworld": {Kind.MODEL: ("tinyworld",)},
    "inferix-wan": {Kind.MODEL: ("self-forcing", "self-forcing-diffusion", "causvid", "wan-t2v", "wan-i2v")},
    "inferix-magi": {Kind.MODEL: ("magi",), Kind.QUANTIZER: ("magi-fp8",)},
    "inferix-kvstore": {
        Kind.KV_STORE: ("paged", "ring", "offload"),
        Kind.KV_POLICY: ("sink-window", "window", "selective", "strided"),
        Kind.KV_CODEC: ("int8", "fp8", "int4"),
    },
    "inferix-stream": {Kind.STREAMER: ("mp4", "gif", "png-folder", "contact-sheet", "hls", "rtmp", "webrtc", "null")},
    "inferix-quant": {Kind.QUANTIZER: ("int8", "fp8")},
    "inferix-attention": {Kind.ATTENTION: ("flash",)},
    "inferix-profile": {Kind.PROFILER: ("trace",)},
    "inferix-parallel": {Kind.PARALLEL: ("auto", "ulysses", "ring", "hybrid", "pipeline", "xfuser")},
}
"""Distribution to the names of its components, for each kind."""

KNOWN_TARGETS: Mapping[str, tuple[str, ...]] = {
    "inferix-stream": (".mp4", ".gif", ".png", "folder", ".m3u8", "rtmp", "rtmps", "null"),
}
"""Distribution to the suffixes, schemes and "folder" that its streamers write to."""

KNOWN_COMMANDS: Mapping[str, tuple[str, ...]] = {"inferix-parallel": ("parallel",), "inferix-serve": ("serve",)}
"""Distribution to the commands that it adds to `inferix`."""

OFFICIAL = frozenset({"inferix", "inferix-core", *KNOWN_COMPONENTS, *KNOWN_COMMANDS})
"""The names of the official distributions."""


def distributions_with_more(kind: Kind, installed: set[str]) -> list[str]:
    """The official distributions that bring components of `kind` whose names are not `installed`."""
    return [
        distribution
        for distribution, kinds in KNOWN_COMPONENTS.items()
        if any(name not in installed for name in kinds.get(kind, ()))
    ]


def names_of(kind: Kind) -> set[str]:
    """The names of all official components of a kind."""
    return {name for kinds in KNOWN_COMPONENTS.values() for name in kinds.get(kind, ())}


def distribution_of(kind: Kind, name: str) -> str | None:
    """The official distribution that brings this component, if there is one."""
    for distribution, kinds in KNOWN_COMPONENTS.items():
        if name in kinds.get(kind, ()):
            return distribution
    return None


def distribution_of_command(name: str) -> str | None:
    """The official distribution that adds this command, if there is one."""
    return next((distribution for distribution, names in KNOWN_COMMANDS.items() if name in names), None)


def distribution_of_target(target: str) -> str | None:
    """The official distribution that writes to this suffix, scheme or "folder", if there is one."""
    for distribution, targets in KNOWN_TARGETS.items():
        if target in targets:
            return distribution
    return None
