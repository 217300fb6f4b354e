"""The Wan 2.1 transformer: latents in, flow out, with self-attention left to the engine.

Letters: B worlds, L latents of a pass, C channels, S tokens of a latent, N = L * S tokens, G groups of tokens that
share a time (1 or L), T condition tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from inferix_core.contracts.model import Layer, LayerContext, PassInput
from inferix_core.errors import UnsupportedError
from inferix_core.patching import patches, unpatched
from torch import Tensor, nn

from inferix_wan.transformer.compilation import compiled_layer
from inferix_wan.transformer.conditions import IMAGE, parts_of_branch, require, with_image_latents
from inferix_wan.transformer.config import TransformerConfig
from inferix_wan.transformer.embedding import sinusoid
from inferix_wan.transformer.layers import (
    CrossAttention,
    SelfAttention,
    feed_forward,
    gated_add,
    grouped,
    image_projection,
    modulated_norm,
    run_in_dtype_of,
    split_modulation,
)
from inferix_wan.transformer.rotary import GridRotary


@dataclass(frozen=True, slots=True, eq=False)
class PassState:
    """What goes from layer to layer: the tokens change, the rest belongs to the pass.

    `tokens` [B, N, dim]; `time` [B, G, 1, dim] for the head; `modulation` [B, G, 6, dim] for the blocks;
    `grid` is (latents, rows, columns) of tokens; `parts` of the conditions are attended to; matrices work in `dtype`,
    and tokens and modulation are in the residual precision.
    """

    tokens: Tensor
    time: Tensor
    modulation: Tensor
    rotary: GridRotary
    grid: tuple[int, int, int]
    parts: tuple[str, ...]
    dtype: torch.dtype


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward; the first and last are modulated by the time."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.self_attn = SelfAttention(config)
        self.norm3 = nn.LayerNorm(config.dim, eps=config.eps)
        self.cross_attn = CrossAttention(config)
        self.ffn = feed_forward(config)
        self.modulation = nn.Parameter(torch.randn(1, 6, config.dim) / config.dim**0.5)

    def forward(self, state: PassState, context: LayerContext) -> PassState:
        """The state with new tokens."""
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = split_modulation(self.modulation, state.modulation)
        x = state.tokens
        normed = modulated_norm(x, shift=shift, scale=scale, eps=self.eps).to(state.dtype)
        x = gated_add(x, self.self_attn(normed, context, state.rotary), gate=gate)
        normed = run_in_dtype_of(x, self.norm3).to(state.dtype)
        x = x + self.cross_attn(normed, context, state.parts)
        normed = modulated_norm(x, shift=ffn_shift, scale=ffn_scale, eps=self.eps).to(state.dtype)
        x = gated_add(x, self.ffn(normed), gate=ffn_gate)
        return replace(state, tokens=x)


class Head(nn.Module):
    """The state after the last block to the prediction."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.patch_size = config.patch_size[1:]
        rows, columns = self.patch_size
        self.head = nn.Linear(config.dim, config.out_channels * rows * columns)
        self.modulation = nn.Parameter(torch.randn(1, 2, config.dim) / config.dim**0.5)

    def forward(self, state: PassState, *, gather: Callable[[Tensor], Tensor] = lambda tokens: tokens) -> Tensor:
        """The predicted flow (noise minus clean) [B, L, C, h, w].

        `gather` makes the patches of all tokens of those of the state, where that has a share of them.
        """
        shift, scale = split_modulation(self.modulation, state.time)
        normed = modulated_norm(state.tokens, shift=shift, scale=scale, eps=self.eps)
        tokens = run_in_dtype_of(normed, self.head)
        return unpatched(gather(tokens), grid=state.grid, patch_size=self.patch_size)


class WanTransformer(nn.Module):
    """The network of Wan 2.1, Self Forcing and CausVid, as the core's loop runs it: `embed`, `layers`, `head`.

    What is causal is the plan, not the network: a video that is one block is denoised with every latent seeing every
    other. `head` is the module of that name. State-dict keys are the official ones. Nothing is kept between passes but
    rotation tables, gradients flow through every method, and the host never waits for the device.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch_embedding = nn.Conv3d(config.in_channels, dim, config.patch_size, stride=config.patch_size)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        if config.image_dim is not None:
            self.img_emb = image_projection(config.image_dim, dim)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.num_layers))
        self.head = Head(config)
        self._rotaries: dict[tuple[int, int, torch.dtype], GridRotary] = {}
        self._compiled: Sequence[Layer] | None = None

    @property
    def layers(self) -> Sequence[Layer]:
        """The blocks, in order."""
        return self._compiled or cast("Sequence[Layer]", self.blocks)

    def fuse_qkv(self) -> None:
        """Makes queries, keys and values of the pass's tokens in one product; see `SelfAttention.fuse`."""
        for block in self.blocks:
            cast("TransformerBlock", block).self_attn.fuse()

    def compile_layers(self) -> None:
        """Compiles every block when it first runs; see `compiled_layer`. The weights stand already."""
        self._compiled = [compiled_layer(cast("Layer", block)) for block in self.blocks]

    def embed_text(self, embeds: Tensor) -> Tensor:
        """Text encoder output [B, T, text_dim] -> condition tokens [B, text_len, dim].

        Rows past T are zeros before the embedding; they become tokens like any other and are attended to.
        Raises `ValueError` if T is more than text_len.
        """
        num_missing = self.config.text_len - embeds.shape[1]
        if num_missing < 0:
            raise ValueError(
                f"The text has {embeds.shape[1]} tokens, but the transformer takes {self.config.text_len}: cut it."
            )
        tokens: Tensor = self.text_embedding(F.pad(embeds, (0, 0, 0, num_missing)))
        return tokens

    def embed_image(self, features: Tensor) -> Tensor:
        """Image encoder output [B, T, image_dim] -> condition tokens [B, T, dim].

        Raises `UnsupportedError` for a model that takes text alone.
        """
        if self.config.image_dim is None:
            raise UnsupportedError("A picture was given, but this model takes text alone: use an image-to-video model.")
        tokens: Tensor = self.img_emb["proj"](features)
        return tokens

    def embed(self, pass_input: PassInput) -> PassState:
        """The state before the first block.

        Raises `UnsupportedError` for a pass of several guidance branches, or without a condition that it needs.
        """
        parts = parts_of_branch(self.config.condition_parts, pass_input)
        if self.config.image_dim is not None:
            require(IMAGE, pass_input, why="this model makes videos from a picture")
        latents = pass_input.latents
        if num_missing := self.config.in_channels - latents.shape[2]:
            latents = with_image_latents(pass_input, num_channels=num_missing)
        num_latents, _, height, width = latents.shape[1:]
        _, patch_rows, patch_columns = self.config.patch_size
        grid = (num_latents, height // patch_rows, width // patch_columns)
        weight, bias = self.patch_embedding.weight, self.patch_embedding.bias
        patched = patches(latents.to(weight.dtype), patch_size=(patch_rows, patch_columns))
        residual_dtype = torch.float32 if self.config.residual_precision == "float32" else weight.dtype
        tokens = F.linear(patched, weight.flatten(1), bias).to(residual_dtype)
        time = self._embed_times(pass_input.times, dtype=residual_dtype, device=weight.device)  # [B, G, dim]
        modulation = run_in_dtype_of(time, self.time_projection).view(*time.shape[:2], 6, -1)
        rotary = self.rotary(rows=grid[1], columns=grid[2], dtype=weight.dtype)
        return PassState(tokens, time.unsqueeze(2), modulation, rotary, grid, parts, weight.dtype)

    def shard(self, state: PassState, tokens: range) -> PassState:
        """The state with `tokens` of each latent alone, in raster order."""
        latents = grouped(state.tokens, state.grid[0])  # [B, L, S, dim]
        return replace(state, tokens=latents[:, :, tokens.start : tokens.stop].flatten(1, 2))

    def rotary(self, *, rows: int, columns: int, dtype: torch.dtype) -> GridRotary:
        """The rotation for latents of `rows` x `columns` tokens in a model of `dtype`."""
        precision = self.config.rotary_precision
        exact = dtype in (torch.float32, torch.float64) if precision == "auto" else precision == "float64"
        key = (rows, columns, torch.float64 if exact else torch.float32)
        rotary = self._rotaries.get(key)
        if rotary is None:
            rotary = GridRotary(head_dim=self.config.head_dim, rows=rows, columns=columns, precision=key[2])
            self._rotaries[key] = rotary
        return rotary

    def _embed_times(self, times: Sequence[Sequence[float]], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """[B, G, dim]: one group for each latent, or a single one if all latents of every world share a time."""
        if all(time == row[0] for row in times for time in row):
            times = [row[:1] for row in times]
        encoded = sinusoid(times, dim=self.config.freq_dim).to(dtype=dtype)
        return run_in_dtype_of(encoded.to(device, non_blocking=True), self.time_embedding)


CausalWanTransformer = WanTransformer  # what packages built for inferix-wan 0.1 import
