"""Checkpoints of MAGI-1 to modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from inferix_core.checkpoints import Shape, loading
from inferix_core.contracts.quantizer import Quantizer
from torch import nn

from inferix_magi.checkpoints.family import MAGI, transformer_places
from inferix_magi.checkpoints.shapes import packed_transformer_tensors
from inferix_magi.quantized.layers import is_packed_layer
from inferix_magi.quantized.quantizer import PackedWeights
from inferix_magi.transformer.precision import weight_dtype
from inferix_magi.transformer.transformer import MagiTransformer


def check_transformer(
    transformer: MagiTransformer,
    path: str | Path,
    *,
    size: str,
    is_distilled: bool,
    quantizer: Quantizer | None = None,
) -> None:
    """Finds out whether a checkpoint fits the transformer, which may be on the meta device; reads no weights.

    See `load_transformer`. Raises `CheckpointError` that says what the checkpoint is if it is another network's, or
    names the tensors which are missing, unexpected, or of another shape or dtype.
    """
    is_packed = isinstance(quantizer, PackedWeights)
    loading.check_weights(
        transformer,
        path,
        family=MAGI,
        places=transformer_places(size, is_distilled=is_distilled, is_packed=is_packed),
        expected=_expected(transformer, is_packed=is_packed),
    )


def load_transformer(
    transformer: MagiTransformer,
    path: str | Path,
    *,
    size: str,
    is_distilled: bool,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
) -> None:
    """Puts a checkpoint's weights in place of the transformer's, ready to run without gradients.

    `path` is `model.safetensors`, its index, the folder of either, that of a release (`4.5B_base`), or one that holds
    a whole download, in which the release of that `size` is found. What `weight_dtype` says stays in float32, the rest
    is turned into `dtype`. The quantizer `magi-fp8` takes the authors' fp8 weights as they are; others pack those in
    full precision.

    Raises as `check_transformer`, and then leaves the transformer as it was.
    """
    is_packed = isinstance(quantizer, PackedWeights)
    loading.load_weights(
        transformer,
        path,
        family=MAGI,
        device=device,
        dtype=_dtypes(transformer.config.num_layers, dtype=dtype, is_packed=is_packed),
        quantizer=quantizer,
        places=transformer_places(size, is_distilled=is_distilled, is_packed=is_packed),
        expected=_expected(transformer, is_packed=is_packed),
    )


def check_part(module: nn.Module, path: str | Path) -> None:
    """Finds out whether a checkpoint fits the VAE or the text encoder: see the core's `check_weights`."""
    loading.check_weights(module, path, family=MAGI)


def load_part(module: nn.Module, path: str | Path, *, device: torch.device, dtype: torch.dtype) -> None:
    """Puts the weights of the VAE or of the text encoder in place of the module's: see the core's `load_weights`."""
    loading.load_weights(module, path, family=MAGI, device=device, dtype=dtype)


def _expected(transformer: MagiTransformer, *, is_packed: bool) -> Mapping[str, Shape] | None:
    return packed_transformer_tensors(transformer.config) if is_packed else None


def _dtypes(num_layers: int, *, dtype: torch.dtype, is_packed: bool) -> Callable[[str], torch.dtype | None]:
    """The dtype that each tensor of the file is turned into; packed ones are left alone."""

    def dtype_of(name: str) -> torch.dtype | None:
        layer = name.rpartition(".")[0]
        if is_packed and is_packed_layer(layer, num_layers=num_layers):
            return None
        return weight_dtype(name, dtype=dtype)

    return dtype_of
