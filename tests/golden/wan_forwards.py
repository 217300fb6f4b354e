"""Runners of the golden cases that are single forwards: the bidirectional transformers, and causal masks in training.

Letters: B worlds, L latents, C channels, h, w latent height and width, N tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from inferix_core.contracts.kv import KVCache, KVPolicy
from inferix_core.contracts.model import Condition, Conditions, PassInput
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import Entry, Level, Pass
from inferix_core.runtime.context import PassContext
from inferix_core.runtime.sight import Sight
from inferix_core.specs import ComponentConfig
from inferix_wan.geometry import wan_geometry, wan_layout
from inferix_wan.transformer.conditions import IMAGE, IMAGE_LATENTS, TEXT
from inferix_wan.transformer.transformer import PassState, WanTransformer
from torch import Tensor, nn
from wan_rollout import policy_of, transformer_config

Tensors = Mapping[str, Tensor]
CPU = torch.device("cpu")


def run_transformer(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """Whole clips, every latent seeing every other. Samples of one shape and prompt length go through together."""
    network = _network(case, tensors)
    outputs: dict[str, Tensor] = {}
    for index, call in enumerate(case["call"]):
        samples = [_Sample(network, tensors, index, sample) for sample in range(call["batch"])]
        groups = [samples] if len({tuple(shape) for shape in call["x_shapes"]}) == 1 else [[one] for one in samples]
        with _recorded(network, outputs, f"call{index}.mid") if index == 0 else _nothing():
            flows = [flow for group in groups for flow in _clips(network, group)]
        outputs |= {f"call{index}.flow{sample}": flow.transpose(0, 1) for sample, flow in enumerate(flows)}
        if index == 0:
            outputs |= {f"call0.mid.{name}": value for name, value in samples[0].embeddings.items()}
    return outputs


def run_block_masks(case: Mapping[str, Any], tensors: Tensors) -> dict[str, Tensor]:
    """All blocks of a clip in one pass, each seeing those before it; and block after block over clean ones."""
    network = _network(case, tensors)
    size, window = case["call"]["frames_per_block"], case["call"]["local_attn_size_for_blockwise_local"]
    conditions: list[Conditions] = [
        {TEXT: Condition(network.embed_text(one.unsqueeze(0)))} for one in tensors["in.context"]
    ]
    x, times = tensors["in.x"].transpose(1, 2), tensors["in.t"].tolist()
    first, first_times = tensors["in.x_first"].transpose(1, 2), tensors["in.t_first"].tolist()
    local = policy_of({"local_attn_size": window})
    made = {
        "blockwise": _blocks(network, x, times, conditions, spans=_spans(x, size), policy=_everything()),
        "blockwise_local": _blocks(network, x, times, conditions, spans=_spans(x, size), policy=local),
        "first_frame": _blocks(
            network, first, first_times, conditions, spans=_spans(first, size, first=1), policy=_everything()
        ),
        "teacher_forcing": _teacher_forced(
            network, x, tensors["in.clean_x"].transpose(1, 2), times, conditions, spans=_spans(x, size)
        ),
    }
    return {name: flow.transpose(1, 2) for name, flow in made.items()}


class _Sample:
    """One sample of a call: latents [L, C, h, w], time, conditions, and what its embeddings were."""

    def __init__(self, network: WanTransformer, tensors: Tensors, call: int, index: int) -> None:
        prefix = f"in.call{call}"
        self.latents = tensors[f"{prefix}.x{index}"].transpose(0, 1)
        self.time = float(tensors[f"{prefix}.t"][index])
        text = network.embed_text(tensors[f"{prefix}.context{index}"].unsqueeze(0))
        self.embeddings = {"text_embedding": text}
        conditions = {TEXT: Condition(text)}
        if network.config.image_dim is not None:
            image = network.embed_image(tensors[f"{prefix}.clip_fea"][index : index + 1])
            beside = tensors[f"{prefix}.y{index}"].transpose(0, 1)  # [L, C', h, w]
            self.embeddings["img_emb"] = image
            conditions |= {IMAGE: Condition(image), IMAGE_LATENTS: Condition(beside.flatten(1).unsqueeze(0))}
        self.conditions: Conditions = conditions


def _clips(network: WanTransformer, samples: Sequence[_Sample]) -> Tensor:
    """The flows [B, L, C, h, w] of samples of one shape."""
    latents = torch.stack([one.latents for one in samples])
    span = range(latents.shape[1])
    entry = Entry(0, span, 0, Level(0, 0.0, 1.0), reads_cache=False)
    caches = [_store(network, latents).create() for _ in samples]
    times = [[one.time] * len(span) for one in samples]
    conditions = [[one.conditions] for one in samples]
    return _forward(network, latents, times, conditions, entries=(entry,), caches=caches, policy=_everything())


def _blocks(
    network: WanTransformer,
    latents: Tensor,
    times: Sequence[Sequence[float]],
    conditions: Sequence[Conditions],
    *,
    spans: Sequence[range],
    policy: KVPolicy,
) -> Tensor:
    """The flows of all blocks in one pass."""
    entries = tuple(Entry(block, span, span.start, Level(0, 0.0, 1.0)) for block, span in enumerate(spans))
    caches = [_store(network, latents).create() for _ in conditions]
    for cache in caches:
        cache.reserve(range(spans[-1].stop))
    of_entries = [[one] * len(entries) for one in conditions]
    return _forward(network, latents, times, of_entries, entries=entries, caches=caches, policy=policy)


def _teacher_forced(
    network: WanTransformer,
    latents: Tensor,
    clean: Tensor,
    times: Sequence[Sequence[float]],
    conditions: Sequence[Conditions],
    *,
    spans: Sequence[range],
) -> Tensor:
    """The flows of noisy blocks that see the clean ones before them."""
    caches = [_store(network, latents).create() for _ in conditions]
    flows = []
    for block, span in enumerate(spans):
        entry = Entry(block, span, span.start, Level(0, 0.0, 1.0))
        for cache in caches:
            cache.reserve(span)
        part = slice(span.start, span.stop)
        for given, at in ((latents, [row[part] for row in times]), (clean, [[0.0] * len(span)] * len(times))):
            flow = _forward(
                network,
                given[:, part],
                at,
                [[one] for one in conditions],
                entries=(entry,),
                caches=caches,
                policy=_everything(),
            )
            if given is latents:
                flows.append(flow)
        for cache in caches:
            cache.commit(span)
    return torch.cat(flows, dim=1)


def _forward(
    network: WanTransformer,
    latents: Tensor,
    times: Sequence[Sequence[float]],
    conditions: Sequence[Sequence[Conditions]],
    *,
    entries: tuple[Entry, ...],
    caches: Sequence[KVCache],
    policy: KVPolicy,
) -> Tensor:
    """One pass [B, L, C, h, w] -> the same, as the engine's loop makes it, but with a time for each latent."""
    context = PassContext(
        [Pass(entries)] * len(caches),
        caches=caches,
        conditions=conditions,
        sight=Sight(policy),
        backend=SdpaBackend(ComponentConfig()),
        tokens_per_latent=_tokens_per_latent(network, latents),
    )
    state = network.embed(
        PassInput(
            latents=latents,
            times=times,
            positions=context.positions,
            conditions=conditions,
            branches=[entry.branch for entry in entries],
            entry_lengths=[len(entry.latents) for entry in entries],
        )
    )
    for index, layer in enumerate(network.layers):
        state = layer(state, context.at(index))
    flow: Tensor = network.head(state)
    return flow


@contextmanager
def _recorded(network: WanTransformer, outputs: dict[str, Tensor], prefix: str) -> Iterator[None]:
    """What the parts of the network make, while it lasts."""

    def keep(name: str, value: Any) -> None:
        tensor = value.tokens if isinstance(value, PassState) else value
        outputs[f"{prefix}.{name}"] = tensor.squeeze(1) if name.startswith("time_") else tensor

    parts: dict[str, nn.Module] = {
        "time_embedding": network.time_embedding,
        "time_projection": network.time_projection,
        "head": network.head.head,
        **{f"block{index}": block for index, block in enumerate(network.blocks)},
        **{f"block0.{name}": network.blocks[0].get_submodule(name) for name in ("self_attn", "cross_attn", "ffn")},
    }
    hooks = [
        part.register_forward_hook(lambda _module, _given, made, name=name: keep(name, made))
        for name, part in parts.items()
    ]
    yield
    for hook in hooks:
        hook.remove()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _network(case: Mapping[str, Any], tensors: Tensors) -> WanTransformer:
    config = transformer_config({**case["constructor"], "model_type": "t2v"})
    if case["constructor"]["model_type"] == "i2v":
        (image_dim,) = re.findall(r"MLPProj\((\d+),", case["constructor"]["img_emb"])
        config = replace(config, image_dim=int(image_dim))
    network = WanTransformer(config)
    weights = {name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")}
    network.load_state_dict(weights, strict=True)
    return network.requires_grad_(False)


def _store(network: WanTransformer, latents: Tensor) -> DenseStore:
    height, width = (8 * size for size in latents.shape[3:])
    geometry = wan_geometry(network.config, height=height, width=width, fps=16.0)
    return DenseStore(
        DenseConfig(), layout=wan_layout(network.config, geometry), capacity=None, device=CPU, dtype=torch.float32
    )


def _tokens_per_latent(network: WanTransformer, latents: Tensor) -> int:
    _, rows, columns = network.config.patch_size
    return (latents.shape[3] // rows) * (latents.shape[4] // columns)


def _spans(latents: Tensor, size: int, *, first: int = 0) -> list[range]:
    """The latents of each block; a block of `first` latents comes before the others."""
    starts = [*range(1 if first else 0), *range(first, latents.shape[1], size)]
    ends = [*starts[1:], latents.shape[1]]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def _everything() -> KVPolicy:
    return FullPolicy(ComponentConfig())
