"""What benches watch in the spans of a step beside the host's time: the device's time, and products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from inferix_core.events import Timings


class DeviceTimings(Timings):
    """Spans that last until the device has done what was asked of it in them."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device

    @contextmanager
    def span(self, name: str, *, world_id: str | None = None) -> Iterator[None]:
        """See `Timings.span`."""
        wait_for(self._device)
        with super().span(name, world_id=world_id):
            yield
            wait_for(self._device)


class CountedTimings(Timings):
    """Spans in which floating-point operations are counted from the shapes of products, convolutions and attention.

    A multiply-add is two operations. What torch does not know, e.g. a quantizer's own kernels, counts nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_flops: dict[str, int] = {}
        """The sum for each name."""

    @contextmanager
    def span(self, name: str, *, world_id: str | None = None) -> Iterator[None]:
        """See `Timings.span`; the time is that of counting."""
        counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
        with super().span(name, world_id=world_id), counter:
            yield
        self.num_flops[name] = self.num_flops.get(name, 0) + counter.get_total_flops()


def wait_for(device: torch.device) -> None:
    """Waits until the device has done what it was asked; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _attention_flops(q: Sequence[int], k: Sequence[int], v: Sequence[int], *_: Any, **__: Any) -> int:
    """Of shapes [B, H, N, D], [B, H, M, D] and [B, H, M, E]; the keys may have fewer heads than the queries."""
    num_scores = q[0] * q[1] * q[2] * k[2]
    return 2 * num_scores * (q[3] + v[3])


_ATTENTION: dict[Any, Callable[..., int]] = dict.fromkeys(
    (
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu,
        torch.ops.aten._scaled_dot_product_flash_attention,
        torch.ops.aten._scaled_dot_product_efficient_attention,
        torch.ops.aten._scaled_dot_product_cudnn_attention,
    ),
    _attention_flops,
)
"""The kernels behind `scaled_dot_product_attention`; torch counts no CPU's, and no grouped heads."""
