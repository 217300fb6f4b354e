"""Single forwards of the MAGI-1 transformer over the core's own pass, store and policy contract.

Letters: B worlds, L latents, C channels, h, w latent height and width, N tokens, T caption rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from inferix_core.contracts.kv import KVCache
from inferix_core.contracts.model import ChoosingLayerContext, Condition, PassInput, Rotary
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import Entry, Pass
from inferix_core.runtime.context import PassContext
from inferix_core.runtime.sight import Sight
from inferix_core.specs import ComponentConfig
from inferix_magi.geometry import magi_geometry, magi_layout
from inferix_magi.transformer import TransformerConfig
from inferix_magi.transformer.layers import PassState, TransformerLayer
from inferix_magi.transformer.precision import weight_dtype
from inferix_magi.transformer.transformer import MagiTransformer
from torch import Tensor, nn

CPU = torch.device("cpu")
Captions = Sequence[Sequence[Condition]]


def transformer_config(official: Mapping[str, Any]) -> TransformerConfig:
    """Our configuration from the official `model_config`."""
    dim = official["hidden_size"]
    return TransformerConfig(
        dim=dim,
        ffn_dim=official["ffn_hidden_size"],
        num_heads=official["num_attention_heads"],
        num_kv_heads=official["num_query_groups"],
        head_dim=official["kv_channels"],
        num_layers=official["num_layers"],
        gated_ffn=official["gated_linear_unit"],
        latent_channels=official["in_channels"] // (2 if official["half_channel_vae"] else 1),
        doubles_channels=official["half_channel_vae"],
        latent_scale=official["x_rescale_factor"],
        patch_size=(official["t_patch_size"], official["patch_size"], official["patch_size"]),
        condition_dim=int(dim * official["cond_hidden_ratio"]),
        text_dim=official["caption_channels"],
        text_len=official["caption_max_length"],
        text_hidden_dim=int(dim * official["xattn_cond_hidden_ratio"]),
        eps=official["layernorm_epsilon"],
    )


def network_of(
    case: Mapping[str, Any], tensors: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> MagiTransformer:
    """The case's network with its weights."""
    network = MagiTransformer(transformer_config(case["config"]["model_config"]))
    given = {name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")}
    weights = {name: value.to(weight_dtype(name, dtype=dtype)) for name, value in given.items()}
    network.load_state_dict(weights, strict=True, assign=True)
    return network.requires_grad_(False)


@dataclass(frozen=True, slots=True)
class GivenRanges:
    """A policy that shows each block the latents that a table says."""

    ranges: Mapping[int, range]

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        """Everything."""
        return held

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        """What the table says."""
        return [latent for latent in available if latent in self.ranges[entry.block]]

    def capacity(self, num_block_latents: int) -> int | None:
        """No bound."""
        return None


@dataclass(slots=True)
class Recorded:
    """What came of one forward: the velocity [B, L, C, h, w], the first state, and what the layers made."""

    state: PassState
    condition: Tensor
    velocity: Tensor = field(default_factory=lambda: torch.empty(0))
    parts: dict[str, Tensor] = field(default_factory=dict)


class Forwards:
    """Forwards that share a cache for each world."""

    def __init__(self, network: MagiTransformer, *, latent_size: tuple[int, int], num_worlds: int = 1) -> None:
        height, width = (8 * size for size in latent_size)
        geometry = magi_geometry(network.config, height=height, width=width, fps=24.0)
        self.network = network
        self.tokens_per_latent = geometry.tokens_per_latent
        layout = magi_layout(network.config, geometry)
        store = DenseStore(DenseConfig(), layout=layout, capacity=None, device=CPU, dtype=network.dtype)
        self.caches: list[KVCache] = [store.create() for _ in range(num_worlds)]

    def caption(self, rows: Tensor, mask: Tensor) -> Condition:
        """The rows [T, text_dim] that a mask [T] selects, as the layers read them."""
        return Condition(self.network.embed_caption(rows[mask.bool()]))

    def commit(self, end: int) -> None:
        """Makes pages of all latents before `end` that are not yet."""
        for cache in self.caches:
            for latent in (one for one in cache.reserved if one < end):
                cache.commit(range(latent, latent + 1))

    def run(
        self,
        latents: Tensor,
        one: Pass,
        *,
        captions: Sequence[Captions],
        ranges: Mapping[int, range] | None = None,
        latent_times: Sequence[Sequence[float]] | None = None,
    ) -> Recorded:
        """One pass over latents [B, L, C, h, w], with a caption for each entry of each world."""
        for cache in self.caches:
            known = (*cache.held, *cache.reserved)
            for entry in one.entries:
                if entry.reads_cache and entry.latents.start not in known:
                    cache.reserve(entry.latents)
        context = PassContext(
            [one] * len(self.caches),
            caches=self.caches,
            conditions=[[{}] * len(one.entries)] * len(self.caches),
            sight=Sight(GivenRanges(ranges or {})),
            backend=SdpaBackend(ComponentConfig()),
            tokens_per_latent=self.tokens_per_latent,
        )
        times = [entry.level.time for entry in one.entries for _ in entry.latents]
        given = PassInput(
            latents=latents,
            times=latent_times or [times] * len(self.caches),
            positions=context.positions,
            conditions=context.conditions,
            branches=[entry.branch for entry in one.entries],
            entry_lengths=[len(entry.latents) for entry in one.entries],
            step_size=one.step_size,
        )
        chosen = [[[caption] if isinstance(caption, Condition) else caption for caption in of] for of in captions]
        state = self.network.embed(given, captions=chosen)
        recorded = Recorded(state, self.network.condition(given))
        with _recorded(self.network, recorded.parts):
            for index, layer in enumerate(self.network.layers):
                view = _RecordingContext(context.at(index), recorded.parts, f"layer{index}")
                state = layer(state, cast("ChoosingLayerContext", view))
                recorded.parts[f"layer{index}.out"] = state.tokens
            recorded.velocity = self.network.head(state)
        return recorded

    def cache_rows(self, layer: int, *, num_tokens: int) -> Tensor:
        """[num_tokens, K, 2 D]: keys and values side by side."""
        span = range(num_tokens // self.tokens_per_latent)
        segments = self.caches[0].segments(layer, [span])
        return torch.cat([torch.cat([one["k"], one["v"]], dim=-1) for one in segments], dim=1)[0]


@dataclass(frozen=True, slots=True)
class _RecordingContext:
    """A layer's context that writes down what attention made."""

    context: ChoosingLayerContext
    parts: dict[str, Tensor]
    name: str

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, rotary: Rotary | None) -> Tensor:
        result = self.context.attend(q, k, v, rotary=rotary)
        self.parts[f"{self.name}.core_attn_out"] = result.flatten(2)
        return result

    def attend_chosen(
        self,
        q: Tensor,
        chosen: Sequence[Captions],
        project: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        result = self.context.attend_chosen(q, chosen, project)
        self.parts[f"{self.name}.xattn_out"] = result.flatten(2)
        return result


@contextmanager
def _recorded(network: MagiTransformer, parts: dict[str, Tensor]) -> Iterator[None]:
    """What the parts of the first layer and the last norm make, while it lasts."""
    layer = cast("TransformerLayer", network.layers[0])
    watched: dict[str, nn.Module] = {
        "layer0.ln": layer.self_attention.linear_qkv.layer_norm,
        "layer0.attn_proj_out": layer.self_attention,
        "layer0.ada_out": layer.ada_modulate_layer.proj,
        "layer0.mlp_out": layer.mlp,
        "final_ln": network.videodit_blocks["final_layernorm"],
    }

    def keep(name: str, value: Tensor) -> None:
        parts[name] = value

    def keep_input(value: Tensor) -> None:
        parts["layer0.mlp_in"] = value

    hooks = [
        part.register_forward_hook(lambda _module, _given, made, name=name: keep(name, made))
        for name, part in watched.items()
    ]
    hooks.append(layer.mlp.register_forward_pre_hook(lambda _module, given: keep_input(given[0])))
    yield
    for hook in hooks:
        hook.remove()


def as_latents(video: Tensor) -> Tensor:
    """`[B, C, L, h, w]` as `[B, L, C, h, w]`, and back."""
    return video.transpose(1, 2)
