"""Pages that a codec kept, for an engine with that codec or without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferix_core.catalog import Catalog
from inferix_core.configuration import Selected, validated
from inferix_core.errors import UnsupportedError, WorldFileError
from inferix_core.runtime.building import build
from inferix_core.specs import Kind
from inferix_core.worldfile.identity import codec_of

if TYPE_CHECKING:
    from inferix_core.contracts.kv import KVCodec
    from inferix_core.runtime.engine import Engine
    from inferix_core.worldfile.manifest import CodecEntry


def codec_to_decode_with(saved: CodecEntry | None, engine: Engine) -> KVCodec | None:
    """The codec that encoded pages are to be decoded with; None where they go back as they are.

    Pages that a codec kept go back into an engine with the same one, bit for bit, or are decoded for one that keeps
    pages as they are. Anything else would lose more: `UnsupportedError` names both, and so it does where the codec
    that is needed is not installed.
    """
    present = codec_of(engine)
    if saved == present:
        return None
    if saved is None or present is not None:
        found = "no codec" if saved is None else _named(saved)
        accepted = "kv.codec.use = 'none'" + ("" if saved is None else f", or {_named(saved)}")
        raise UnsupportedError(
            f"The world was saved with {found} and the engine keeps pages with {_named(present)}, which would lose "
            f"what the file holds exactly. Load it with {accepted}."
        )
    if saved.config is None:
        raise UnsupportedError(
            f"The world's pages were kept by the codec {_named(saved)} of an engine that was made of parts. "
            "Load it into one with that codec."
        )
    catalog = engine.catalog or Catalog.discover()
    component = catalog.choose(Kind.KV_CODEC, saved.use)
    model = engine.parts.model
    selected = Selected(component, validated(component, saved.config, "kv.codec"))
    codec: KVCodec = build(selected, layout=model.layout, dtype=model.dtype)
    if codec.layout != saved.layout:
        raise WorldFileError(
            f"The codec {_named(saved)} of {component.distribution} {component.version} keeps pages otherwise than "
            "the one that the world was saved with. Install the version that `inferix world show` names."
        )
    return codec


def _named(codec: CodecEntry | None) -> str:
    if codec is None:
        return "no codec"
    options = ", ".join(f"{key} = {value}" for key, value in (codec.config or {}).items())
    return f"'{codec.use}'" + (f" ({options})" if options else "")
