"""From a resolved configuration to the components that the loop works with."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from inferix_core.errors import ConfigError, PluginError, UnsupportedError
from inferix_core.runtime.coded import CodedStore
from inferix_core.runtime.loop import Parts
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig, Selected
    from inferix_core.contracts.decoder import Decoder
    from inferix_core.contracts.kv import KVCodec, KVPolicy, KVStore
    from inferix_core.contracts.model import Model
    from inferix_core.contracts.scheduler import Planner

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device = '{name}' is no device. Use auto, cpu, cuda or cuda:N.") from error
    is_here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not is_here.get(device.type, True):
        raise ConfigError(
            f"device = '{name}' was asked for, but torch {torch.__version__} finds no {device.type} here. Use cpu."
        )
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name; "auto" is bfloat16 where the hardware multiplies it faster, float32 elsewhere."""
    if name == "auto":
        fast = device.type == "cuda" or _cpu_multiplies_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    if name == "float16" and device.type == "cpu":
        raise ConfigError("dtype = 'float16' is slower than float32 on a CPU. Use bfloat16 or float32.")
    return _DTYPES[name]


def choose_overlap(config: ResolvedConfig, device: torch.device) -> bool:
    """Whether runs decode a block while they denoise the next one; "auto" is where that pays.

    Raises `ConfigError` where it was asked for with a store that cannot fork: what is made ahead is made in a fork.
    """
    store = config.required(Kind.KV_STORE).component
    asked = config.run.overlap_decode
    if asked == "auto":
        return "shared-pages" in store.spec.provides and (device.type == "cuda" or _has_a_core_for_each(config))
    if asked and "fork" not in store.spec.provides:
        raise ConfigError(
            f"overlap_decode = true was asked for, but the KV store '{store.name}' does not provide 'fork', and what "
            "is made ahead is made in a fork of the world. Use 'auto' or false, or a store that forks, e.g. paged."
        )
    return asked


def _has_a_core_for_each(config: ResolvedConfig) -> bool:
    """Whether the threads of the network and of the decoder are known and can all run at once."""
    network, decoder = config.run.num_threads, config.run.num_decoder_threads
    return network is not None and decoder is not None and network + decoder <= _num_cores()


def _num_cores() -> int:
    """The CPU cores that this process may use, as far as the system tells."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def build(selected: Selected, **environment: Any) -> Any:
    """The component, built from its configuration; a plugin whose implementation cannot be imported is named."""
    component = selected.component
    try:
        implementation = component.spec.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"{component.qualified_name} points to '{component.spec.implementation}', which cannot be imported: "
            f"{error}. Reinstall {component.distribution} with its dependencies."
        ) from error
    return implementation(selected.config, **environment)


def check_files(config: ResolvedConfig) -> None:
    """Raises what the chosen components say of the files that they are configured with; reads no weights."""
    for selected in config.selections.values():
        if (check := selected.component.spec.load_check()) is not None:
            check(selected.config)


def build_parts(
    config: ResolvedConfig, catalog: Catalog, *, device: torch.device, dtype: torch.dtype
) -> tuple[Parts, Decoder]:
    """Everything the loop needs, and the decoder. Cheap components come first, weights last."""
    if config.selected(Kind.PARALLEL) is not None:
        raise UnsupportedError("This version of inferix-core does not apply a parallel strategy yet; leave it out.")
    window_relative = _is_window_relative(config)
    _check_anchors(config)
    planner = build(config.required(Kind.PLANNER))
    solver = build(config.required(Kind.SOLVER))
    policy = _build_policy(config, planner)
    capacity = policy.capacity(planner.num_block_latents)
    _check_bound(config, capacity)
    backend = build(config.required(Kind.ATTENTION))
    profilers = tuple(build(selected) for selected in config.profilers)
    check_files(config)
    model = _build_model(config, device=device, dtype=dtype)
    decoder = build(config.required(Kind.DECODER), geometry=model.geometry, device=device, dtype=dtype)
    store = _build_store(
        config,
        model,
        capacity=capacity,
        num_in_flight=planner.num_block_latents,
        device=device,
    )
    parts = Parts(
        model=model,
        planner=planner,
        solver=solver,
        store=store,
        policy=policy,
        backend=backend,
        relay=catalog.relay(profilers),
        device=device,
        profilers=profilers,
        needs_relevance="relevance" in config.required(Kind.KV_POLICY).component.spec.provides,
        window_relative=window_relative,
        recaches=config.run.kv.recache,
    )
    return parts, decoder


def with_kv(parts: Parts, config: ResolvedConfig) -> Parts:
    """The same model with the store, policy, codec and positions of another configuration; for benches."""
    policy = _build_policy(config, parts.planner)
    num_in_flight = parts.planner.num_block_latents
    store = _build_store(
        config,
        parts.model,
        capacity=policy.capacity(num_in_flight),
        num_in_flight=num_in_flight,
        device=parts.device,
    )
    return replace(
        parts,
        store=store,
        policy=policy,
        needs_relevance="relevance" in config.required(Kind.KV_POLICY).component.spec.provides,
        window_relative=_is_window_relative(config),
        recaches=config.run.kv.recache,
    )


def _build_policy(config: ResolvedConfig, planner: Planner) -> KVPolicy:
    """The policy, told of the planner if what it shows follows from that."""
    selected = config.required(Kind.KV_POLICY)
    follows = "follows-planner" in selected.component.spec.provides
    policy: KVPolicy = build(selected, planner=planner) if follows else build(selected)
    return policy


def _is_window_relative(config: ResolvedConfig) -> bool:
    """Whether keys are rotated when they are read. Raises `UnsupportedError` where the model does not allow it."""
    if config.run.kv.positions == "absolute":
        return False
    if "window-relative" not in config.required(Kind.MODEL).component.spec.provides:
        raise UnsupportedError(
            f"kv.positions = 'window-relative' was asked for, but the model '{config.model.name}' does not provide "
            "'window-relative'. Use 'absolute'."
        )
    return True


def _check_anchors(config: ResolvedConfig) -> None:
    """Raises `UnsupportedError`, before weights are read, where plans have frames encoded and the decoder cannot."""
    planner, decoder = config.required(Kind.PLANNER).component, config.required(Kind.DECODER).component
    if "anchors" in planner.spec.provides and "encode" not in decoder.spec.provides:
        raise UnsupportedError(
            f"The planner '{planner.name}' has frames encoded again, but the decoder '{decoder.name}' does not provide "
            "'encode'. Choose a decoder that does, or another planner."
        )


def _check_bound(config: ResolvedConfig, capacity: int | None) -> None:
    """Raises `ConfigError`, before weights are read, where a store of fixed size is to hold any number of latents."""
    store, policy = config.required(Kind.KV_STORE).component, config.required(Kind.KV_POLICY).component
    if capacity is None and "bounded" in store.spec.provides:
        raise ConfigError(
            f"kv.store: '{store.name}' has room for a fixed number of latents, but the KV policy '{policy.name}', as "
            "it is configured, keeps any number. Choose a policy with a bound, e.g. window or sink-window, or a store "
            "that grows, e.g. dense or paged."
        )


def _build_store(
    config: ResolvedConfig, model: Model, *, capacity: int | None, num_in_flight: int, device: torch.device
) -> KVStore:
    """The store; where a codec is chosen, one for exact pages and one for encoded ones behind one contract."""
    selected = config.required(Kind.KV_STORE)
    environment: dict[str, Any] = {"device": device, "dtype": model.dtype}
    chosen = config.selected(Kind.KV_CODEC)
    if chosen is None or "identity" in chosen.component.spec.provides:
        store: KVStore = build(selected, layout=model.layout, capacity=capacity, **environment)
        return store
    codec: KVCodec = build(chosen, layout=model.layout, dtype=model.dtype)
    num_exact = codec.num_exact_sink_latents + codec.num_exact_recent_latents + num_in_flight
    exact = build(selected, layout=model.layout, capacity=num_exact, **environment)
    encoded = build(selected, layout=codec.layout, capacity=capacity, **environment)
    return CodedStore(exact, encoded, codec, layout=model.layout)


def _build_model(config: ResolvedConfig, *, device: torch.device, dtype: torch.dtype) -> Model:
    """The model, told of the quantizer if one is chosen."""
    selected = config.required(Kind.MODEL)
    environment: dict[str, Any] = {"device": device, "dtype": dtype}
    if (quantizer := config.selected(Kind.QUANTIZER)) is not None:
        if "quantize" not in selected.component.spec.provides:
            raise UnsupportedError(
                f"The quantizer '{quantizer.component.name}' was asked for, but the model '{config.model.name}' does "
                "not provide 'quantize'. Leave the quantizer out, or choose a model that packs its weights."
            )
        environment["quantizer"] = build(quantizer, device=device)
    model: Model = build(selected, **environment)
    return model


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has bf16 dot products; torch offers the question under a private name only."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe()) if probe is not None else False
