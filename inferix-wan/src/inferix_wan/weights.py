"""Checkpoints of the Wan family to modules."""

from __future__ import annotations

from pathlib import Path

import torch
from inferix_core.checkpoints import loading
from inferix_core.checkpoints.loading import Rename
from inferix_core.contracts.quantizer import Quantizer
from torch import nn

from inferix_wan.checkpoints.family import WAN

__all__ = ["Rename", "check_weights", "load_weights"]


def check_weights(
    module: nn.Module, path: str | Path, *, rename: Rename | None = None, state_dict: str | None = None
) -> None:
    """Finds out whether a checkpoint fits the module: see the core's `check_weights`."""
    loading.check_weights(module, path, family=WAN, rename=rename, state_dict=state_dict)


def load_weights(
    module: nn.Module,
    path: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantizer: Quantizer | None = None,
    rename: Rename | None = None,
    state_dict: str | None = None,
) -> None:
    """Puts a checkpoint's weights in place of the module's: see the core's `load_weights`.

    Of a folder the module's part is taken: the layouts of Wan 2.1, of diffusers, of Self Forcing and of CausVid.
    """
    loading.load_weights(
        module,
        path,
        family=WAN,
        device=device,
        dtype=dtype,
        quantizer=quantizer,
        rename=rename,
        state_dict=state_dict,
    )
