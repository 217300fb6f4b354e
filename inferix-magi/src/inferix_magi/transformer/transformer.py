"""The MAGI-1 transformer: latents in, velocity out, with attention left to the engine.

Letters: B worlds, L latents of a pass, C channels, N tokens, T caption tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from inferix_core.contracts.model import Condition, Layer, PassInput
from inferix_core.patching import unpatched
from torch import Tensor, nn

from inferix_magi.guidance import NULL
from inferix_magi.transformer.attention import PlusOneNorm, widened
from inferix_magi.transformer.config import TransformerConfig
from inferix_magi.transformer.embedding import CaptionEmbedder, TimeEmbedder, embedded_patches
from inferix_magi.transformer.layers import PassState, TransformerLayer
from inferix_magi.transformer.rotary import GridRotary


class MagiTransformer(nn.Module):
    """The network of MAGI-1 as the core's loop runs it: `embed`, `layers`, `head`. Names are those of its weights.

    Weights may be of several precisions; `precision.weight_dtype` says which is of which.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        num_bands = config.head_dim // 8
        self.x_embedder = nn.Conv3d(
            config.in_channels, config.dim, config.patch_size, stride=config.patch_size, bias=False
        )
        self.t_embedder = TimeEmbedder(config)
        self.y_embedder = CaptionEmbedder(config)
        self.rope = nn.ParameterDict({"bands": torch.ones(num_bands)})
        self.videodit_blocks = nn.ModuleDict(
            {
                "layers": nn.ModuleList(TransformerLayer(config) for _ in range(config.num_layers)),
                "final_layernorm": PlusOneNorm(config.dim, eps=config.eps),
            }
        )
        rows, columns = config.patch_size[1:]
        linear = nn.Linear(config.dim, rows * columns * config.in_channels, bias=False)
        self.final_linear = nn.ModuleDict({"linear": linear})

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers, in order."""
        return list(cast("nn.ModuleList", self.videodit_blocks["layers"]))

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the layers' matrices, of the tokens between them, and of keys and values."""
        first = cast("TransformerLayer", self.layers[0])
        return first.self_attention.linear_qkv.layer_norm.weight.dtype

    def embed_caption(self, rows: Tensor) -> Tensor:
        """Rows [T, text_dim] of the text encoder, or of the empty caption -> caption tokens [1, T, text_hidden_dim]."""
        tokens: Tensor = self.y_embedder(rows.unsqueeze(0))
        return tokens.to(self.dtype)

    def embed(self, pass_input: PassInput, *, captions: Sequence[Sequence[Sequence[Condition]]]) -> PassState:
        """The state before the first layer; entry `e` of world `b` is to read `captions[b][e]`."""
        config, latents = self.config, pass_input.latents
        _, patch_rows, patch_columns = config.patch_size
        grid = (latents.shape[1], latents.shape[3] // patch_rows, latents.shape[4] // patch_columns)
        scaled = latents * config.latent_scale
        tokens = embedded_patches(
            torch.cat([scaled, scaled], dim=2) if config.doubles_channels else scaled, self.x_embedder
        )
        condition = F.silu(self.condition(pass_input))
        return PassState(tokens.to(self.dtype), condition, self.rotary(rows=grid[1], columns=grid[2]), grid, captions)

    def shard(self, state: PassState, tokens: range) -> PassState:
        """The state with `tokens` of each latent alone, in raster order."""
        latents = state.tokens.view(len(state.tokens), state.grid[0], -1, self.config.dim)  # [B, L, S, dim]
        return replace(state, tokens=latents[:, :, tokens.start : tokens.stop].flatten(1, 2))

    def head(self, state: PassState, *, gather: Callable[[Tensor], Tensor] = lambda tokens: tokens) -> Tensor:
        """The predicted velocity, clean minus noise, [B, L, C, h, w] float32.

        `gather` makes the patches of all tokens of those of the state, where that has a share of them.
        """
        normed = self.videodit_blocks["final_layernorm"](state.tokens)
        tokens = gather(widened(self.final_linear["linear"], normed))
        rows, columns = self.config.patch_size[1:]
        velocity = unpatched(tokens, grid=state.grid, patch_size=(rows, columns)) / self.config.latent_scale
        return velocity[:, :, : self.config.latent_channels]

    def condition(self, pass_input: PassInput) -> Tensor:
        """What the gates are made of, for each latent: its time, the size of the step, whether there is a caption."""
        device = pass_input.latents.device
        embedded: Tensor = self.t_embedder(pass_input.times, dtype=self.dtype, device=device)
        if pass_input.step_size is not None:
            embedded = embedded + self.t_embedder([[pass_input.step_size]], dtype=self.dtype, device=device)
        with_text, without = self.y_embedder.presence()
        presence = [without if branch == NULL else with_text for branch in pass_input.branches]
        of_latents = [
            one for one, length in zip(presence, pass_input.entry_lengths, strict=True) for _ in range(length)
        ]
        return (embedded + torch.stack(of_latents)).to(self.dtype)

    def rotary(self, *, rows: int, columns: int) -> GridRotary:
        """The rotation for latents of `rows` x `columns` tokens."""
        return GridRotary(self.rope["bands"], rows=rows, columns=columns, dtype=self.dtype)
