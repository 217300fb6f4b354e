"""What a configuration asks of the ranks of a run, from the configuration alone: no weights are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inferix_core.catalog import Catalog
from inferix_core.configuration import ResolvedConfig, apply_overrides, load_toml, resolve
from inferix_core.contracts.workload import Outline, Workload
from inferix_core.errors import UnsupportedError
from inferix_core.specs import Kind


def configured_workload(
    model: str | None = None,
    *,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    catalog: Catalog | None = None,
) -> Workload:
    """The workload of a model, a TOML file or a mapping, with `key=value` overrides, as `Engine.load` takes them.

    Raises `ConfigError` for what does not fit, `UnsupportedError` for a model that does not say its outline.
    """
    catalog = catalog or Catalog.discover()
    raw: Mapping[str, Any] = load_toml(Path(config)) if isinstance(config, str | Path) else dict(config or {})
    if model is not None:
        raw = {**raw, "model": {**raw.get("model", {}), "use": model}}
    resolved = resolve(apply_overrides(raw, overrides), catalog)
    return workload_of(resolved, outline=outline_of(resolved))


def outline_of(config: ResolvedConfig) -> Outline:
    """What the configured model is. Raises `UnsupportedError` where its plugin does not say so."""
    describe = config.model.load_outline()
    if describe is None:
        raise UnsupportedError(
            f"The model '{config.model.name}' cannot be described without its weights: its spec names no 'outline'. "
            "Choose another model, or measure it with `inferix bench parallel`."
        )
    return describe(config.required(Kind.MODEL).config)


def workload_of(config: ResolvedConfig, *, outline: Outline, item_bytes: int | None = None) -> Workload:
    """The workload of a model with this outline under the configured planner and policy.

    Values take `item_bytes`; without it as many as the configured dtype, 2 where that is "auto".
    """
    from inferix_core.runtime.building import build, build_policy, codec_share
    from inferix_core.runtime.shapes import steady_block
    from inferix_core.runtime.sight import Sight

    planner = build(config.required(Kind.PLANNER))
    needs_relevance = "relevance" in config.required(Kind.KV_POLICY).component.spec.provides
    sight = Sight(build_policy(config, planner), needs_relevance=needs_relevance)
    block = steady_block(planner, sight)
    if item_bytes is None:
        item_bytes = 4 if config.run.dtype == "float32" else 2
    return Workload(
        outline=outline,
        passes=block.passes,
        num_held_latents=block.num_held_latents,
        item_bytes=item_bytes,
        kv_share=codec_share(config, outline.layout, item_bytes=item_bytes),
        shards_tokens="token-sharding" in config.model.provides,
        stages_layers="layer-stages" in config.model.provides,
    )
