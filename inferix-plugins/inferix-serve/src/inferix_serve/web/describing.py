"""What a server says of itself."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferix_serve.web.service import Service


def describe(here: Service) -> dict[str, Any]:
    """The model, its actions, sizes, the KV policy, and the limits, as plain data."""
    engine, limits = here.hall.engine, here.settings.limits
    geometry, config = engine.geometry, engine.config
    kv = {} if config is None else dict(config.effective.get("kv", {}))
    return {
        "version": version("inferix-serve"),
        "model": type(engine.parts.model).__name__ if config is None else config.model.name,
        "summary": "" if config is None else config.model.summary,
        "actions": list(here.hall.actions),
        "height": geometry.frame_height,
        "width": geometry.frame_width,
        "fps": geometry.fps,
        "policy": kv.get("policy", {"use": type(engine.parts.policy).__name__}),
        "store": kv.get("store", {"use": type(engine.parts.store).__name__}),
        "codec": kv.get("codec"),
        "num_rewind_blocks": engine.num_rewind_blocks,
        "device": str(engine.device),
        "dtype": str(engine.dtype).removeprefix("torch."),
        "kv_bytes": engine.num_kv_bytes,
        "webrtc": here.broadcasts.is_available,
        "needs_token": here.sessions.needs_token,
        "limits": limits.model_dump(),
    }
