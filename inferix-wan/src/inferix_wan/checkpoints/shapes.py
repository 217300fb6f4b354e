"""The official tensors of each network, by name and shape, without building it; free of torch."""

from __future__ import annotations

from itertools import pairwise

from inferix_core.checkpoints import Shapes

from inferix_wan.image.config import ClipConfig
from inferix_wan.text.config import Umt5Config
from inferix_wan.tiny_vae.config import TinyVaeConfig
from inferix_wan.transformer.config import TransformerConfig
from inferix_wan.vae.config import VaeConfig


def transformer_tensors(config: TransformerConfig) -> Shapes:
    """Those of `diffusion_pytorch_model*.safetensors`."""
    dim = config.dim
    shapes: Shapes = {
        **_affine("patch_embedding", dim, config.in_channels, *config.patch_size),
        **_affine("text_embedding.0", dim, config.text_dim),
        **_affine("text_embedding.2", dim, dim),
        **_affine("time_embedding.0", dim, config.freq_dim),
        **_affine("time_embedding.2", dim, dim),
        **_affine("time_projection.1", 6 * dim, dim),
    }
    for block in range(config.num_layers):
        shapes |= _transformer_block(f"blocks.{block}", config)
    shapes["head.modulation"] = (1, 2, dim)
    shapes |= _affine("head.head", config.out_channels * config.patch_size[1] * config.patch_size[2], dim)
    if config.image_dim is not None:
        shapes |= _affine("img_emb.proj.0", config.image_dim)
        shapes |= _affine("img_emb.proj.1", config.image_dim, config.image_dim)
        shapes |= _affine("img_emb.proj.3", dim, config.image_dim)
        shapes |= _affine("img_emb.proj.4", dim)
    return shapes


def umt5_tensors(config: Umt5Config) -> Shapes:
    """Those of `models_t5_umt5-xxl-enc-bf16.pth`."""
    dim, inner, ffn = config.dim, config.attention_dim, config.ffn_dim
    shapes: Shapes = {"token_embedding.weight": (config.vocab_size, dim), "norm.weight": (dim,)}
    for block in range(config.num_layers):
        inside: Shapes = {
            "norm1": (dim,),
            "attn.q": (inner, dim),
            "attn.k": (inner, dim),
            "attn.v": (inner, dim),
            "attn.o": (dim, inner),
            "norm2": (dim,),
            "ffn.gate.0": (ffn, dim),
            "ffn.fc1": (ffn, dim),
            "ffn.fc2": (dim, ffn),
            "pos_embedding.embedding": (config.num_buckets, config.num_heads),
        }
        shapes |= {f"blocks.{block}.{name}.weight": shape for name, shape in inside.items()}
    return shapes


def clip_tensors(config: ClipConfig) -> Shapes:
    """Those of `models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth` that Wan reads: of its image tower."""
    dim, hidden = config.dim, config.dim * config.mlp_ratio
    shapes: Shapes = {
        "visual.cls_embedding": (1, 1, dim),
        "visual.pos_embedding": (1, config.num_tokens, dim),
        "visual.patch_embedding.weight": (dim, 3, config.patch_size, config.patch_size),
        **_affine("visual.pre_norm", dim),
    }
    for layer in range(config.num_layers):
        name = f"visual.transformer.{layer}"
        shapes |= _affine(f"{name}.norm1", dim) | _affine(f"{name}.norm2", dim)
        shapes |= _affine(f"{name}.attn.to_qkv", 3 * dim, dim) | _affine(f"{name}.attn.proj", dim, dim)
        shapes |= _affine(f"{name}.mlp.0", hidden, dim) | _affine(f"{name}.mlp.2", dim, hidden)
    return shapes


def vae_tensors(config: VaeConfig) -> Shapes:
    """Those of `Wan2.1_VAE.pth`."""
    latent = config.latent_dim
    return {
        **_vae_encoder(config),
        **_affine("conv1", 2 * latent, 2 * latent, 1, 1, 1),
        **_affine("conv2", latent, latent, 1, 1, 1),
        **_vae_decoder(config),
    }


def tiny_vae_tensors(config: TinyVaeConfig, *, has_encoder: bool = True) -> Shapes:
    """Those of `taew2_1.pth`, in which the encoder may be left out."""
    return {**(_tiny_encoder(config) if has_encoder else {}), **_tiny_decoder(config)}


def _affine(name: str, *shape: int) -> Shapes:
    """A weight of that shape, and a bias as long as its first axis."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _transformer_block(name: str, config: TransformerConfig) -> Shapes:
    dim = config.dim
    shapes: Shapes = {f"{name}.modulation": (1, 6, dim)}
    for attention in ("self_attn", "cross_attn"):
        for part in "qkvo":
            shapes |= _affine(f"{name}.{attention}.{part}", dim, dim)
        shapes |= {f"{name}.{attention}.norm_{part}.weight": (dim,) for part in "qk"}
    if config.image_dim is not None:
        shapes |= _affine(f"{name}.cross_attn.k_img", dim, dim) | _affine(f"{name}.cross_attn.v_img", dim, dim)
        shapes[f"{name}.cross_attn.norm_k_img.weight"] = (dim,)
    shapes |= _affine(f"{name}.norm3", dim)
    return shapes | _affine(f"{name}.ffn.0", config.ffn_dim, dim) | _affine(f"{name}.ffn.2", dim, config.ffn_dim)


def _vae_encoder(config: VaeConfig) -> Shapes:
    dims = [config.base_dim * factor for factor in (1, *config.dim_mult)]
    top, place = dims[-1], 0
    shapes = _affine("encoder.conv1", dims[0], 3, 3, 3, 3)
    for stage, (before, after) in enumerate(pairwise(dims)):
        for block in range(config.num_res_blocks):
            shapes |= _residual(f"encoder.downsamples.{place}", before if block == 0 else after, after)
            place += 1
        if stage < len(config.temporal_downsample):
            shapes |= _affine(f"encoder.downsamples.{place}.resample.1", after, after, 3, 3)
            if config.temporal_downsample[stage]:
                shapes |= _affine(f"encoder.downsamples.{place}.time_conv", after, after, 3, 1, 1)
            place += 1
    return shapes | _middle("encoder", top) | _vae_head("encoder", top, 2 * config.latent_dim)


def _vae_decoder(config: VaeConfig) -> Shapes:
    dims = [config.base_dim * factor for factor in (config.dim_mult[-1], *config.dim_mult[::-1])]
    temporal, place = config.temporal_downsample[::-1], 0
    shapes = _affine("decoder.conv1", dims[0], config.latent_dim, 3, 3, 3) | _middle("decoder", dims[0])
    for stage, (before, after) in enumerate(pairwise(dims)):
        first = before if stage == 0 else before // 2  # an upsampler before it halved the channels
        for block in range(config.num_res_blocks + 1):
            shapes |= _residual(f"decoder.upsamples.{place}", first if block == 0 else after, after)
            place += 1
        if stage < len(temporal):
            shapes |= _affine(f"decoder.upsamples.{place}.resample.1", after // 2, after, 3, 3)
            if temporal[stage]:
                shapes |= _affine(f"decoder.upsamples.{place}.time_conv", 2 * after, after, 3, 1, 1)
            place += 1
    return shapes | _vae_head("decoder", dims[-1], 3)


def _tiny_encoder(config: TinyVaeConfig) -> Shapes:
    dim, place = config.base_dim, 2
    shapes = _affine("encoder.0", dim, 3, 3, 3)
    for stride in config.encoder_strides:
        shapes[f"encoder.{place}.conv.weight"] = (dim, stride * dim, 1, 1)
        shapes[f"encoder.{place + 1}.weight"] = (dim, dim, 3, 3)
        for block in range(place + 2, place + 2 + config.num_blocks):
            shapes |= _memory_block(f"encoder.{block}", dim)
        place += 2 + config.num_blocks
    return shapes | _affine(f"encoder.{place}", config.latent_dim, dim, 3, 3)


def _tiny_decoder(config: TinyVaeConfig) -> Shapes:
    dims, place = config.decoder_dims, 3
    shapes = _affine("decoder.1", dims[0], config.latent_dim, 3, 3)
    for (before, after), stride in zip(pairwise(dims), config.decoder_strides, strict=True):
        for block in range(place, place + config.num_blocks):
            shapes |= _memory_block(f"decoder.{block}", before)
        place += config.num_blocks + 1  # a doubling of height and width, which has no weights
        shapes[f"decoder.{place}.conv.weight"] = (stride * before, before, 1, 1)
        shapes[f"decoder.{place + 1}.weight"] = (after, before, 3, 3)
        place += 2
    return shapes | _affine(f"decoder.{place + 1}", 3, dims[-1], 3, 3)


def _memory_block(name: str, dim: int) -> Shapes:
    shapes = _affine(f"{name}.conv.0", dim, 2 * dim, 3, 3)
    return shapes | _affine(f"{name}.conv.2", dim, dim, 3, 3) | _affine(f"{name}.conv.4", dim, dim, 3, 3)


def _residual(name: str, before: int, after: int) -> Shapes:
    shapes: Shapes = {f"{name}.residual.0.gamma": (before, 1, 1, 1), f"{name}.residual.3.gamma": (after, 1, 1, 1)}
    shapes |= _affine(f"{name}.residual.2", after, before, 3, 3, 3) | _affine(
        f"{name}.residual.6", after, after, 3, 3, 3
    )
    return shapes if before == after else shapes | _affine(f"{name}.shortcut", after, before, 1, 1, 1)


def _middle(side: str, dim: int) -> Shapes:
    name = f"{side}.middle"
    attention = _affine(f"{name}.1.to_qkv", 3 * dim, dim, 1, 1) | _affine(f"{name}.1.proj", dim, dim, 1, 1)
    blocks = _residual(f"{name}.0", dim, dim) | _residual(f"{name}.2", dim, dim)
    return blocks | attention | {f"{name}.1.norm.gamma": (dim, 1, 1)}


def _vae_head(side: str, before: int, after: int) -> Shapes:
    return {f"{side}.head.0.gamma": (before, 1, 1, 1), **_affine(f"{side}.head.2", after, before, 3, 3, 3)}
