"""Where a text encoder's weights rest and where they compute."""

from __future__ import annotations

from typing import Literal

import torch

from inferix_core.errors import ConfigError

TextDevice = Literal["auto", "cpu", "cuda"]


def text_places(asked: TextDevice, *, device: torch.device, section: str) -> tuple[torch.device, torch.device]:
    """Where the weights rest and where they compute: `auto` rests in the host's memory and computes on `device`.

    Raises `ConfigError` that begins with `section` for a CUDA device that is not there.
    """
    cpu = torch.device("cpu")
    if asked == "auto":
        return cpu, device
    if asked == "cpu":
        return cpu, cpu
    if not torch.cuda.is_available():
        raise ConfigError(f'{section}: device is "cuda", but this machine has no CUDA device: use "auto" or "cpu".')
    place = device if device.type == "cuda" else torch.device("cuda")
    return place, place
