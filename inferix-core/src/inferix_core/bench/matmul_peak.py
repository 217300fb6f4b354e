"""What the device at hand multiplies: the peak that shares are shares of."""

from __future__ import annotations

import time

import torch

_SECONDS = 0.5
"""How long each size is repeated: long enough for clocks to settle."""

_SIZES = {"cuda": (4096, 8192, 16384)}
_CPU_SIZES = (512, 1024, 2048)


def matmul_flops_per_second(*, device: torch.device, dtype: torch.dtype) -> float:
    """The best rate of a product of two square matrices, over sizes and repeats; 2 operations a multiply-add.

    Runs with the CPU threads and the settings (TF32, say) of the caller, for about two seconds.
    """
    return max(_best_rate(size, device=device, dtype=dtype) for size in _SIZES.get(device.type, _CPU_SIZES))


def _best_rate(size: int, *, device: torch.device, dtype: torch.dtype) -> float:
    generator = torch.Generator(device).manual_seed(0)  # zeros would draw less power than products of numbers do
    a, b = (torch.randn(size, size, device=device, generator=generator).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    torch.matmul(a, b, out=out)  # the first call chooses a kernel
    shortest, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < _SECONDS:
        shortest = min(shortest, _seconds(a, b, out))
    return float(2 * size**3 / shortest)


def _seconds(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> float:
    on_cuda = a.device.type == "cuda"
    if on_cuda:
        torch.cuda.synchronize(a.device)
    start = time.perf_counter()
    torch.matmul(a, b, out=out)
    if on_cuda:
        torch.cuda.synchronize(a.device)
    return time.perf_counter() - start
