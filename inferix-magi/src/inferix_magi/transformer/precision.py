"""Which weights of a MAGI-1 transformer stay in float32 when it runs in a half precision."""

from __future__ import annotations

import torch

_WIDE_PARTS = ("x_embedder", "t_embedder", "y_embedder", "rope", "final_linear")
_WIDE_NORMS = ("q_layernorm", "k_layernorm", "self_attn_post_norm", "mlp_post_norm", "final_layernorm")


def weight_dtype(name: str, *, dtype: torch.dtype) -> torch.dtype:
    """The precision that a weight is kept in, in a network of `dtype`.

    Embedders, the norms of self-attention's heads and those after a branch are wide; those of cross-attention are not.
    """
    steps = name.split(".")
    is_wide = steps[0] in _WIDE_PARTS or any(step in _WIDE_NORMS for step in steps)
    return torch.float32 if is_wide else dtype
