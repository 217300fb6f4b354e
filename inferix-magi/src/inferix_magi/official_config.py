"""The configuration files of MAGI-1's authors, turned into this package's configuration; free of torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from inferix_core.errors import ConfigError, nearest
from loguru import logger

from inferix_magi.sizes import TRANSFORMERS
from inferix_magi.transformer.config import TransformerConfig

Tables = dict[str, Any]

_SECTIONS = ("model_config", "runtime_config", "engine_config")

_FIXED: Mapping[str, Mapping[str, Any]] = {
    "model_config": {
        "model_name": "videodit_ardf",
        "apply_layernorm_1p": True,
        "t_patch_size": 1,
        "cond_gating_ratio": 1.0,
    },
    "runtime_config": {"scale_factor": 0.18215, "temporal_downsample_factor": 4},
    "engine_config": {},
}
"""What no released model has otherwise, and what is built here."""

IGNORED: Mapping[str, Mapping[str, str]] = {
    "model_config": {},
    "runtime_config": {"num_frames": "the length is asked for with --seconds, or block by block"},
    "engine_config": {
        "distributed_backend": "ranks are chosen by the section parallel",
        "distributed_timeout_minutes": "ranks are chosen by the section parallel",
        "pp_size": "ranks are chosen by the section parallel",
        "cp_size": "ranks are chosen by the section parallel",
        "cp_strategy": "ranks are chosen by the section parallel",
        "ulysses_overlap_degree": "ranks are chosen by the section parallel",
        "kv_offload": "where pages lie is chosen by kv.store",
        "enable_cuda_graph": "graphs are not captured here",
    },
}
"""Fields that have no counterpart here, with the reason."""

_SHAPE = (
    "num_layers",
    "hidden_size",
    "ffn_hidden_size",
    "num_attention_heads",
    "num_query_groups",
    "kv_channels",
    "layernorm_epsilon",
    "x_rescale_factor",
    "half_channel_vae",
    "patch_size",
    "in_channels",
    "out_channels",
    "cond_hidden_ratio",
    "caption_channels",
    "caption_max_length",
    "xattn_cond_hidden_ratio",
    "gated_linear_unit",
)
"""Fields of `model_config` that together are the shape of a transformer."""

_MOVED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "model_config": {},
    "runtime_config": {
        "cfg_t_range": ("planner", "guidance_times"),
        "prev_chunk_scales": ("planner", "history_scales"),
        "text_scales": ("planner", "text_scales"),
        "noise2clean_kvrange": ("kv", "policy", "num_visible_blocks"),
        "clean_t": ("planner", "clean_time"),
        "seed": ("seed",),
        "video_size_h": ("model", "height"),
        "video_size_w": ("model", "width"),
        "num_steps": ("planner", "num_steps"),
        "window_size": ("planner", "num_blocks_in_flight"),
        "fps": ("model", "fps"),
        "chunk_width": ("planner", "num_block_latents"),
        "load": ("model", "checkpoint"),
        "t5_pretrained": ("model", "text", "checkpoint"),
        "t5_device": ("model", "text", "device"),
        "vae_pretrained": ("decoder", "checkpoint"),
    },
    "engine_config": {
        "distill_nearly_clean_chunk_threshold": ("planner", "near_clean_time"),
        "shortcut_mode": ("planner", "shortcut"),
        "distill": ("model", "distilled"),
    },
}
"""Fields that are the same value under another name."""

_TURNED: Mapping[str, tuple[str, ...]] = {
    "model_config": (*_SHAPE, "params_dtype"),
    "runtime_config": ("cfg_number", "clean_chunk_kvrange"),
    "engine_config": ("fp8_quant",),
}
"""Fields that become something else."""

_DTYPES = {"torch.bfloat16": "bfloat16", "torch.float16": "float16", "torch.float32": "float32"}
_LIKE_THE_LAST = -1
_NUM_PASSES = {True: 1, False: 3}
"""The `cfg_number` of distilled models and of base models."""


def expanded(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables that the model's option `official_config` stands for; none where it is not set.

    Raises as `translated`.
    """
    path = options.get("official_config")
    return translated(Path(path)) if isinstance(path, str) else {}


def translated(path: Path) -> Tables:
    """The tables of this package's configuration that an official file means; what is ignored is told in the log.

    Raises `ConfigError` for a file that cannot be read, for fields that are not known, and for values that no model
    here has; it names them.
    """
    given = _read(path)
    if faults := "; ".join([*_unknown(given), *_unbuilt(given)]):
        end = "" if faults.endswith("?") else "."
        raise ConfigError(f"The official configuration '{path}' cannot be used: {faults}{end}")
    tables: Tables = {}
    for section, places in _MOVED.items():
        for name in places.keys() & given[section].keys():
            _put(tables, places[name], given[section][name])
    for place, value in _turned(given).items():
        _put(tables, place, value)
    for section, reasons in IGNORED.items():
        for name in sorted(reasons.keys() & given[section].keys()):
            logger.info(f"'{path}': {section}.{name} is ignored: {reasons[name]}.")
    return tables


def _read(path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The official configuration '{path}' cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ConfigError(f"The official configuration '{path}' is no JSON ({error}).") from error
    if not isinstance(content, Mapping) or not all(isinstance(content.get(name), Mapping) for name in _SECTIONS):
        raise ConfigError(
            f"'{path}' is no configuration of MAGI-1, which has the tables {', '.join(_SECTIONS)}. Give a file of "
            "example/4.5B or example/24B in the repository SandAI-org/MAGI-1."
        )
    return content


def _unknown(given: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Every field that nothing is known of."""
    yield from (f"there is no table '{name}'" for name in given if name not in _SECTIONS)
    for section in _SECTIONS:
        known = [*_FIXED[section], *IGNORED[section], *_MOVED[section], *_TURNED[section]]
        for name in given[section]:
            if name not in known:
                yield f"{section} has no field '{name}'.{nearest(name, known)}".removesuffix(".")


def _unbuilt(given: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Every value that no model here has."""
    for section, values in _FIXED.items():
        for name, value in values.items():
            if given[section].get(name, value) != value:
                yield f"{section}.{name} is {given[section][name]}, but only {value} is built"
    dtype = given["model_config"].get("params_dtype", "torch.bfloat16")
    if dtype not in _DTYPES:
        yield f"model_config.params_dtype is {dtype}, but it may be {' or '.join(_DTYPES)}"
    is_distilled = bool(given["engine_config"].get("distill", False))
    num_passes = given["runtime_config"].get("cfg_number", _NUM_PASSES[is_distilled])
    if num_passes != _NUM_PASSES[is_distilled]:
        kind = "distilled" if is_distilled else "base"
        yield f"runtime_config.cfg_number is {num_passes}, but {kind} models take {_NUM_PASSES[is_distilled]}"
    missing = [name for name in _SHAPE if name not in given["model_config"]]
    if missing:
        yield f"model_config lacks {', '.join(missing)}"
    elif _size(given["model_config"]) is None:
        yield _of_no_size(given["model_config"])


def _turned(given: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, ...], Any]:
    """The fields that become something else, by their places here."""
    model, runtime, engine = (given[section] for section in _SECTIONS)
    is_distilled = bool(engine.get("distill", False))
    turned: dict[tuple[str, ...], Any] = {
        ("model", "size"): _size(model),
        ("planner", "guidance"): "distilled" if is_distilled else "three-way",
    }
    if "params_dtype" in model:
        turned["dtype",] = _DTYPES[model["params_dtype"]]
    if "clean_chunk_kvrange" in runtime:
        num_blocks = runtime["clean_chunk_kvrange"]
        turned["kv", "policy", "num_visible_blocks_clean"] = None if num_blocks == _LIKE_THE_LAST else num_blocks
    if engine.get("fp8_quant", False):
        turned["quantizer", "use"] = "magi-fp8"
    return turned


def _size(model: Mapping[str, Any]) -> str | None:
    """The size of that shape, of those that there are."""
    shape = _shape(model)
    consistent = model["in_channels"] == model["out_channels"]
    return next((name for name, config in TRANSFORMERS.items() if config == shape and consistent), None)


def _of_no_size(model: Mapping[str, Any]) -> str:
    """How the shape differs from the size that it is nearest to."""
    shape = _shape(model)
    differing = {
        name: [field.name for field in fields(shape) if getattr(shape, field.name) != getattr(config, field.name)]
        for name, config in TRANSFORMERS.items()
    }
    size = min(differing, key=lambda name: len(differing[name]))
    values = [f"{name} {getattr(shape, name)} (there {getattr(TRANSFORMERS[size], name)})" for name in differing[size]]
    what = ", ".join(values) or "out_channels, which differ from in_channels"
    return f"model_config is of no size that is built; from {size} it differs in {what}"


def _shape(model: Mapping[str, Any]) -> TransformerConfig:
    doubled, width = bool(model["half_channel_vae"]), model["hidden_size"]
    try:
        return TransformerConfig(
            dim=width,
            ffn_dim=model["ffn_hidden_size"],
            num_heads=model["num_attention_heads"],
            num_kv_heads=model["num_query_groups"],
            head_dim=model["kv_channels"],
            num_layers=model["num_layers"],
            gated_ffn=bool(model["gated_linear_unit"]),
            latent_channels=model["in_channels"] // (2 if doubled else 1),
            doubles_channels=doubled,
            latent_scale=float(model["x_rescale_factor"]),
            patch_size=(1, model["patch_size"], model["patch_size"]),
            condition_dim=int(width * model["cond_hidden_ratio"]),
            text_dim=model["caption_channels"],
            text_len=model["caption_max_length"],
            text_hidden_dim=int(width * model["xattn_cond_hidden_ratio"]),
            eps=model["layernorm_epsilon"],
        )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"The official configuration describes a network that cannot be built: {error}") from error


def _put(tables: Tables, place: tuple[str, ...], value: Any) -> None:
    *above, name = place
    for key in above:
        tables = tables.setdefault(key, {})
    tables[name] = value
