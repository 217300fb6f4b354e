"""Tensors for KV pages: what a store asks memory for, and the error where there is none."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from inferix_core.errors import CapacityError
from inferix_core.plan import KVLayout

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # the words of accelerators, of the CPU


def empty_slabs(
    layout: KVLayout, num_latents: int, *, device: torch.device, dtype: torch.dtype, pinned: bool = False
) -> dict[str, Tensor]:
    """Room for the pages of `num_latents` latents: for each field `[layers, latents, rows, ...]`, not initialised.

    `pinned` host memory can be copied to a CUDA device while both go on. Raises `CapacityError` where memory is short.
    """
    try:
        return {
            name: torch.empty(
                (layout.num_layers, num_latents, *layout.page_shape(name)),
                dtype=_dtype_of(layout, name, dtype),
                device=device,
                pin_memory=pinned,
            )
            for name in layout.fields
        }
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
        num_bytes = num_latents * num_page_bytes(layout, dtype=dtype)
        raise CapacityError(
            f"No memory for {num_latents} latents of keys and values on {device}: {num_bytes / 2**20:.0f} MiB. "
            "Close worlds, choose a KV policy with a smaller window, or use a store that offloads."
        ) from error


def num_page_bytes(layout: KVLayout, *, dtype: torch.dtype) -> int:
    """Bytes of one latent's pages, all layers and fields; `dtype` is that of fields that name none."""
    return layout.num_layers * sum(
        prod(layout.page_shape(name)) * _dtype_of(layout, name, dtype).itemsize for name in layout.fields
    )


def _dtype_of(layout: KVLayout, name: str, default: torch.dtype) -> torch.dtype:
    chosen = layout.fields[name].dtype
    if chosen is None:
        return default
    dtype: torch.dtype = getattr(torch, chosen)
    return dtype
