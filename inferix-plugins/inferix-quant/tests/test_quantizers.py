"""Networks are packed as their weights arrive, and what cannot be packed is said."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator

import pytest
import torch
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.weights import assign_weights
from inferix_quant.config import Fp8Config, Int8Config
from inferix_quant.fp8 import fp8_quantizer
from inferix_quant.int8 import int8_quantizer
from torch import Tensor, nn

CPU = torch.device("cpu")
ANYWHERE = Int8Config(exclude=("head",))


class Network(nn.Module):
    """Layers of every kind that a quantizer meets."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 64)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64)) for _ in range(2))
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 64, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(self.norm(x))
        result: Tensor = self.head(x)
        return result


def float_network(dtype: torch.dtype = torch.float32) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network().to(dtype).requires_grad_(False)


def packed(network: Network, quantizer: Quantizer) -> Network:
    with torch.device("meta"):
        empty = Network()
    arriving = ((name, value.clone()) for name, value in network.state_dict().items())
    assign_weights(empty, arriving, quantizer=quantizer)
    return empty


def int8(config: Int8Config = ANYWHERE) -> Quantizer:
    return int8_quantizer(config, device=CPU)


def fp8(**settings: str) -> Quantizer:
    return fp8_quantizer(Fp8Config(exclude=("head",), **settings), device=CPU)


@pytest.mark.parametrize(
    ("quantizer", "most"), [(int8(), 0.02), (fp8(), 0.08), (fp8(activation="e4m3"), 0.06)], ids=["int8", "e5m2", "e4m3"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_tokens", [7, 40])
def test_a_packed_network_computes_nearly_the_same(
    quantizer: Quantizer, most: float, dtype: torch.dtype, num_tokens: int
) -> None:
    network = float_network(dtype)
    x = torch.randn(2, num_tokens, 64, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected, found = network(x).double(), packed(network, quantizer)(x)
    assert found.dtype == dtype
    error = float((found.double() - expected).norm() / expected.norm())
    assert 1e-5 < error < most  # it is packed, and it is right


@pytest.mark.parametrize("quantizer", [int8(), fp8()], ids=["int8", "fp8"])
def test_only_what_is_meant_is_packed_to_a_byte_a_weight(quantizer: Quantizer) -> None:
    network = packed(float_network(), quantizer)
    state = network.state_dict()
    codes = [name for name, value in state.items() if value.element_size() == 1]
    assert codes == [f"blocks.{block}.{layer}.weight" for block in (0, 1) for layer in (0, 2)]
    assert state["words.weight"].dtype == state["head.weight"].dtype == torch.float32
    num_bytes = sum(value.nbytes for value in state.values())
    assert num_bytes < 0.45 * sum(value.nbytes for value in float_network().state_dict().values())
    assert not any(value.is_meta for value in state.values())


def test_no_more_than_one_unpacked_weight_is_alive_at_a_time() -> None:
    source = float_network().state_dict()
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def arriving() -> Iterator[tuple[str, Tensor]]:
        for name, value in source.items():
            alive.append(sum(ref() is not None for ref in seen))
            copy = value.clone()
            if name.startswith("blocks") and name.endswith("weight"):
                seen.append(weakref.ref(copy))
            yield name, copy
            del copy

    with torch.device("meta"):
        network = Network()
    assign_weights(network, arriving(), quantizer=int8())
    assert len(seen) == 4
    assert max(alive) == 0


def test_packing_again_gives_the_same_codes() -> None:
    network = float_network()
    first, second = packed(network, int8()).state_dict(), packed(network, int8()).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_exclusion_matches_whole_names_anywhere() -> None:
    modules = dict(Network().named_modules())
    assert int8(Int8Config(exclude=("blocks.0",))).targets(modules) == ["blocks.1.0", "blocks.1.2", "head"]
    assert int8(Int8Config(exclude=("0.2", "head"))).targets(modules) == ["blocks.0.0", "blocks.1.0", "blocks.1.2"]


def test_an_exclusion_that_matches_nothing_is_an_error_and_not_quantised_in_silence() -> None:
    modules = dict(Network().named_modules())
    with pytest.raises(ConfigError, match="Did you mean 'head'"):
        int8(Int8Config(exclude=("heads",))).targets(modules)
    with pytest.raises(ConfigError, match="nothing is left"):
        int8(Int8Config(exclude=("blocks", "head"))).targets(modules)
    assert int8(Int8Config()).targets(modules), "the defaults fit the Wan family and need not match"


@pytest.mark.parametrize("make", [lambda c: int8(c), lambda c: fp8_quantizer(c, device=CPU)], ids=["int8", "fp8"])
def test_torchao_is_asked_for_in_vain_with_the_words_that_help(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(UnsupportedError, match="eave backend out"):
        make(Fp8Config(backend="torchao"))  # type: ignore[operator]


def test_torchao_computes_nearly_the_same() -> None:
    pytest.importorskip("torchao")
    network = float_network()
    x = torch.randn(40, 64, generator=torch.Generator().manual_seed(1))
    found = packed(network, int8(Int8Config(exclude=("head",), backend="torchao")))(x)
    expected = network(x)
    assert 1e-5 < float((found - expected).norm() / expected.norm()) < 0.02
