"""The official tensors of each network, by name and shape, without building it; free of torch."""

from __future__ import annotations

from inferix_core.checkpoints import Shapes

from inferix_magi.quantized.layers import PACKED_LAYERS, is_packed_layer
from inferix_magi.text.config import T5Config
from inferix_magi.transformer.config import TransformerConfig
from inferix_magi.vae.config import VaeConfig


def transformer_tensors(config: TransformerConfig) -> Shapes:
    """Those of `model.safetensors`, or of its shards."""
    dim, hidden = config.dim, config.text_hidden_dim
    shapes: Shapes = {
        "x_embedder.weight": (dim, config.in_channels, *config.patch_size),
        **_affine("t_embedder.mlp.0", config.condition_dim, config.freq_dim),
        **_affine("t_embedder.mlp.2", config.condition_dim, config.condition_dim),
        "y_embedder.null_caption_embedding": (config.text_len, config.text_dim),
        **_affine("y_embedder.y_proj_xattn.0", hidden, config.text_dim),
        **_affine("y_embedder.y_proj_adaln.0", config.condition_dim, config.text_dim),
        "rope.bands": (config.head_dim // 8,),
    }
    for layer in range(config.num_layers):
        shapes |= _layer(f"videodit_blocks.layers.{layer}", config)
    shapes |= _affine("videodit_blocks.final_layernorm", dim)
    _, rows, columns = config.patch_size
    shapes["final_linear.linear.weight"] = (rows * columns * config.in_channels, dim)
    return shapes


def packed_transformer_tensors(config: TransformerConfig) -> Shapes:
    """Those of `inference_weight.fp8*`: weights of one byte with their scales in all layers but the ends."""
    shapes: Shapes = {}
    for name, shape in transformer_tensors(config).items():
        layer = name.removesuffix(".weight")
        if not is_packed_layer(layer, num_layers=config.num_layers):
            shapes[name] = shape
            continue
        shapes |= {name: (1, *shape), f"{layer}.weight_scale": (1,)}
        if PACKED_LAYERS[_inside(layer)]:
            shapes |= {f"{layer}.input_scale": (1,), f"{layer}.smooth_scale": (1, shape[1])}
        else:
            shapes[f"{layer}.input_scale"] = (shape[1],)
    return shapes


def vae_tensors(config: VaeConfig) -> Shapes:
    """Those of the VAE's `diffusion_pytorch_model.safetensors`."""
    patch = (config.patch_frames, config.patch_size, config.patch_size)
    return {
        **_vae_side("encoder", config),
        **_affine("encoder.patch_embed.proj", config.dim, 3, *patch),
        **_affine("encoder.last_layer", 2 * config.latent_dim, config.dim),
        **_vae_side("decoder", config),
        **_affine("decoder.proj_in", config.dim, config.latent_dim),
        **_affine("decoder.last_layer", 3, config.pixel_dim, 3, 3, 3),
    }


def t5_tensors(config: T5Config) -> Shapes:
    """Those of the encoder in `t5-v1_1-xxl`, by the names of transformers."""
    dim, inner = config.dim, config.num_heads * config.head_dim
    shapes: Shapes = {"encoder.embed_tokens.weight": (config.vocab_size, dim)}
    for block in range(config.num_layers):
        inside: Shapes = {
            "0.SelfAttention.q": (inner, dim),
            "0.SelfAttention.k": (inner, dim),
            "0.SelfAttention.v": (inner, dim),
            "0.SelfAttention.o": (dim, inner),
            "0.layer_norm": (dim,),
            "1.DenseReluDense.wi_0": (config.ffn_dim, dim),
            "1.DenseReluDense.wi_1": (config.ffn_dim, dim),
            "1.DenseReluDense.wo": (dim, config.ffn_dim),
            "1.layer_norm": (dim,),
        }
        if block == 0:
            inside["0.SelfAttention.relative_attention_bias"] = (config.num_buckets, config.num_heads)
        shapes |= {f"encoder.block.{block}.layer.{name}.weight": shape for name, shape in inside.items()}
    return shapes | {"encoder.final_layer_norm.weight": (dim,)}


def _affine(name: str, *shape: int) -> Shapes:
    """A weight of that shape, and a bias as long as its first axis."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _layer(name: str, config: TransformerConfig) -> Shapes:
    dim, width = config.dim, config.num_heads * config.head_dim
    kv_width = config.num_kv_heads * config.head_dim
    attention, feed_forward = f"{name}.self_attention", f"{name}.mlp"
    shapes: Shapes = {
        **_affine(f"{name}.ada_modulate_layer.proj.0", 2 * dim, config.condition_dim),
        **_affine(f"{attention}.linear_qkv.layer_norm", dim),
        f"{attention}.linear_qkv.q.weight": (width, dim),
        f"{attention}.linear_qkv.qx.weight": (width, dim),
        f"{attention}.linear_qkv.k.weight": (kv_width, dim),
        f"{attention}.linear_qkv.v.weight": (kv_width, dim),
        f"{attention}.linear_kv_xattn.weight": (2 * kv_width, config.text_hidden_dim),
        f"{attention}.linear_proj.weight": (dim, 2 * width),
        **_affine(f"{feed_forward}.layer_norm", dim),
        f"{feed_forward}.linear_fc1.weight": ((2 if config.gated_ffn else 1) * config.ffn_dim, dim),
        f"{feed_forward}.linear_fc2.weight": (dim, config.ffn_dim),
        **_affine(f"{name}.self_attn_post_norm", dim),
        **_affine(f"{name}.mlp_post_norm", dim),
    }
    for norm in ("q_layernorm", "q_layernorm_xattn", "k_layernorm", "k_layernorm_xattn"):
        shapes |= _affine(f"{attention}.{norm}", config.head_dim)
    return shapes


def _vae_side(name: str, config: VaeConfig) -> Shapes:
    dim = config.dim
    latents, rows, columns = config.table_shape
    shapes: Shapes = {
        f"{name}.cls_token": (1, 1, dim),
        f"{name}.pos_embed": (1, 1 + latents * rows * columns, dim),
        **_affine(f"{name}.norm", dim),
    }
    for block in range(config.num_layers):
        shapes |= _affine(f"{name}.blocks.{block}.attn.qkv", 3 * dim, dim)
        shapes |= _affine(f"{name}.blocks.{block}.attn.proj", dim, dim)
        shapes |= _affine(f"{name}.blocks.{block}.norm2", dim)
        shapes |= _affine(f"{name}.blocks.{block}.mlp.fc1", config.mlp_dim, dim)
        shapes |= _affine(f"{name}.blocks.{block}.mlp.fc2", dim, config.mlp_dim)
    return shapes


def _inside(layer: str) -> str:
    """The name of a packed layer within its transformer layer."""
    return layer.split(".", 3)[3]
