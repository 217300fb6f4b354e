"""Waves in closed form, and what pushes them.

Letters: h, w cells of the pond.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Waves:
    """Damped waves on a pond without shores: each Fourier mode turns at its own pace, so any time is one product.

    `pond` is height and speed of the water, `[..., 2, h, w]`.
    """

    def __init__(self, height: int, width: int, *, speed: float, damping: float, device: torch.device) -> None:
        rows = torch.fft.fftfreq(height, device=device).unsqueeze(1)
        columns = torch.fft.rfftfreq(width, device=device).unsqueeze(0)
        wave_number = 2.0 * math.pi * torch.sqrt(rows**2 + columns**2)
        self._pace = speed * wave_number
        self._decay = -math.log1p(-min(damping, 0.999))
        self._smooth = torch.exp(-2.0 * wave_number**2)
        self._size = (height, width)

    def after(self, pond: Tensor, steps: Tensor) -> Tensor:
        """The pond after `steps` latents `[...]`, one number for each pond."""
        modes = torch.fft.rfft2(pond)
        height, speed = modes[..., 0, :, :], modes[..., 1, :, :]
        time = steps.to(pond)[..., None, None]
        angle = self._pace * time
        over_pace = time * torch.sinc(angle / math.pi)  # sin(angle) / pace, also where the pace is 0
        later = torch.stack(
            [
                height * torch.cos(angle) + speed * over_pace,
                speed * torch.cos(angle) - height * self._pace * torch.sin(angle),
            ],
            dim=-3,
        )
        later[..., 0, 0] = 0.0  # waves move water and make none
        pond_then: Tensor = torch.fft.irfft2(later * torch.exp(-self._decay * time).unsqueeze(-3), s=self._size)
        return pond_then

    def smoothed(self, field: Tensor) -> Tensor:
        """A field `[..., h, w]` without its short waves."""
        smooth: Tensor = torch.fft.irfft2(torch.fft.rfft2(field) * self._smooth, s=self._size)
        return smooth
