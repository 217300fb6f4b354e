"""Runners of what the golden data says of MAGI-1's weights: manifests, and the layers of the fp8 ones.

`CASES` and `TABLES` are lists of (pattern, runner). Each manifest is remade from the network at full size on the meta
device; what else it says is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from inferix_core.checkpoints import Shapes
from inferix_core.errors import UnsupportedError
from inferix_core.specs import ComponentConfig
from inferix_magi.checkpoints.kinds import NETWORKS, PACKED
from inferix_magi.quantized.linear import PackedLinear, quantised
from inferix_magi.quantized.quantizer import PackedWeights
from inferix_magi.text.config import T5Config
from inferix_magi.text.t5 import T5Network
from inferix_magi.transformer.official import MAGI_4_5B, MAGI_24B
from inferix_magi.transformer.precision import weight_dtype
from inferix_magi.transformer.transformer import MagiTransformer
from inferix_magi.vae.config import from_official
from inferix_magi.vae.model import MagiVae
from outcome import Unsupported
from torch import Tensor, nn

Table = Mapping[str, Any]
Tensors = dict[str, Tensor]

_BODY = "videodit_blocks."
_FIRST_OF_BODY = (f"{_BODY}layers.0.", f"{_BODY}final_layernorm.")
_BYTES = {torch.float32: 4, torch.bfloat16: 2, torch.float8_e4m3fn: 1}


def run_transformer_manifest(entry: Table, table: Table) -> Table:
    """The transformer of a size, with the stand-ins of the fp8 weights where the manifest is theirs."""
    name = str(table["applies_to"][0])
    is_packed, size = name.endswith("_quant"), name.partition("_")[0]
    network = _transformer(size, is_packed=is_packed)
    official = NETWORKS[f"{size}{PACKED if is_packed else ''}"]()
    dtypes = {name: _constructed_dtype(name, value) for name, value in network.state_dict().items()}
    if dtypes.keys() != official.keys():
        return {**table, "tensors": {}}
    wide = sorted(
        name
        for name, dtype in dtypes.items()
        if name.startswith(_FIRST_OF_BODY) and dtype == torch.bfloat16 and _stays_wide(name)
    )
    num_bytes = sum(prod(shape) * _BYTES[dtypes[name]] for name, shape in official.items())
    made = {
        "num_tensors": len(official),
        "num_params": sum(prod(shape) for shape in official.values()),
        "bytes_as_constructed": num_bytes,
        "promoted_to_fp32_after_load_layer0": wide,
    }
    summary = {name: {**given, **made} for name, given in table["summary"].items()}
    return {**table, "summary": summary, "tensors": _listed(official, dtypes)}


def run_vae_manifest(entry: Table, table: Table) -> Table:
    """The VAE of the inferred description."""
    with torch.device("meta"):
        network = MagiVae(from_official(table["ddconfig"]))
    return {**table, "num_params": sum(value.numel() for value in network.parameters()), "tensors": _of(network)}


def run_t5_manifest(entry: Table, table: Table) -> Table:
    """The encoder; the table of tokens is in the files under two names."""
    try:
        with torch.device("meta"):
            network = T5Network(T5Config())
    except UnsupportedError as error:
        raise Unsupported(str(error)) from error
    tensors = _of(network)
    return {**table, "tensors": {"shared.weight": tensors["encoder.embed_tokens.weight"], **tensors}}


def run_fp8_linear(case: Table, tensors: Tensors) -> Tensors:
    """Two layers of the official fp8 weights: the codes of their input, and what they make of it."""
    linear = nn.Linear(case["config"]["in_features"], case["config"]["out_features"], bias=False, device="meta")
    x = tensors["x"].bfloat16()
    outputs: Tensors = {}
    for name in ("tensor", "channel"):
        layer = PackedLinear(linear, is_smoothed=name == "channel")
        state = {
            "weight": tensors[f"{name}.weight_bits"].view(torch.float8_e4m3fn).squeeze(0),
            "weight_scale": tensors[f"{name}.weight_scale"],
            "input_scale": tensors[f"{name}.input_scale"],
        }
        if name == "channel":
            state["smooth_scale"] = tensors["channel.smooth_scale"].squeeze(0)
        layer.load_state_dict(state, assign=True)
        divisor = state.get("smooth_scale", state["input_scale"])
        bits = quantised(x.flatten(0, -2), divisor).view(torch.uint8)
        outputs[f"{name}.x_q_bits"] = bits.view(tensors[f"{name}.x_q_bits"].shape)
        outputs[f"{name}.out"] = layer(x).to(tensors[f"{name}.out"].dtype)
    return outputs


def _transformer(size: str, *, is_packed: bool) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = MagiTransformer({"4.5B": MAGI_4_5B, "24B": MAGI_24B}[size])
    if is_packed:
        quantizer = PackedWeights(ComponentConfig(), device=torch.device("cpu"))
        modules = {name: module for name, module in network.named_modules() if name}
        for name in quantizer.targets(modules):
            network.set_submodule(name, quantizer.replace(name, modules[name]))
    return network


def _constructed_dtype(name: str, value: Tensor) -> torch.dtype:
    """What the original builds: the body in bfloat16 but for what is packed, the rest in float32."""
    is_packed = value.dtype == torch.float8_e4m3fn or name.endswith("_scale")
    return value.dtype if is_packed or not name.startswith(_BODY) else torch.bfloat16


def _stays_wide(name: str) -> bool:
    return weight_dtype(name, dtype=torch.bfloat16) == torch.float32


def _of(network: nn.Module) -> dict[str, list[Any]]:
    values = network.state_dict()
    return _listed({name: tuple(v.shape) for name, v in values.items()}, {name: v.dtype for name, v in values.items()})


def _listed(shapes: Shapes, dtypes: Mapping[str, torch.dtype]) -> dict[str, list[Any]]:
    return {name: [list(shape), str(dtypes[name]).removeprefix("torch.")] for name, shape in shapes.items()}


CASES = [("fp8_linear_informative*", run_fp8_linear)]
TABLES = [
    ("manifest_dit_*", run_transformer_manifest),
    ("manifest_vae.*", run_vae_manifest),
    ("manifest_t5_*", run_t5_manifest),
]
INPUTS = [("fp8_linear_informative*", ("x", "*.weight_bits", "*.weight_scale", "*.input_scale", "*.smooth_scale"))]
