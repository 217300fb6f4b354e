"""The arithmetic of flow matching on latents: noise in, noise out, in the precisions of the original."""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(clean: Tensor, noise: Tensor, *, sigma: float) -> Tensor:
    """The mixture (1 - sigma) * clean + sigma * noise with a float32 sigma, in the noise's dtype."""
    # A tensor of one element takes part in type promotion, so that the product is float32; a number would not.
    share = torch.full((1,), sigma, dtype=torch.float32, device=clean.device)
    return ((1 - share) * clean + share * noise).to(noise.dtype)


def clean_from_flow(latents: Tensor, flow: Tensor, *, sigma: float) -> Tensor:
    """The clean estimate latents - sigma * flow, computed in float64 and cast to the flow's dtype."""
    return torch.add(latents.double(), flow.double(), alpha=-sigma).to(flow.dtype)


def flow_from_clean(latents: Tensor, clean: Tensor, *, sigma: float) -> Tensor:
    """The flow (latents - clean) / sigma, computed in float64 and cast to the latents' dtype."""
    return ((latents.double() - clean.double()) / sigma).to(latents.dtype)


def euler_step(latents: Tensor, flow: Tensor, *, sigma: float, next_sigma: float) -> Tensor:
    """The latents moved along the flow from one share of noise to the next."""
    return latents + flow * (next_sigma - sigma)
