"""Which layers of a transformer are packed in the official fp8 weights; free of torch."""

from __future__ import annotations

import re
from collections.abc import Mapping

PACKED_LAYERS: Mapping[str, bool] = {
    "self_attention.linear_qkv.q": False,
    "self_attention.linear_qkv.qx": False,
    "self_attention.linear_qkv.k": False,
    "self_attention.linear_qkv.v": False,
    "self_attention.linear_proj": True,
    "mlp.linear_fc1": False,
    "mlp.linear_fc2": True,
}
"""Name within a transformer layer to whether each input channel is smoothed by a scale of its own."""

_LAYER = re.compile(r"videodit_blocks\.layers\.(\d+)\.(.+)")


def is_packed_layer(name: str, *, num_layers: int) -> bool:
    """Whether the module of that name is packed: those above, in all transformer layers but the first and the last."""
    found = _LAYER.fullmatch(name)
    return found is not None and 0 < int(found[1]) < num_layers - 1 and found[2] in PACKED_LAYERS


def is_smoothed(name: str) -> bool:
    """Whether the packed module of that name smooths its input channels."""
    found = _LAYER.fullmatch(name)
    return found is not None and PACKED_LAYERS.get(found[2], False)
