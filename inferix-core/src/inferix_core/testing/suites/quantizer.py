"""The rules of quantizers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from inferix_core.contracts.quantizer import Quantizer
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged
from inferix_core.weights import assign_weights

ROWS, WIDTH = 16, 64


class QuantizerSuite(Suite):
    """Supply `quantizer` and the error that its summary states; supply `network` where it knows other layers."""

    max_relative_error: float
    """The largest error of an output of the network, relative to the largest output."""

    dtype = torch.float32

    def quantizer(self) -> Quantizer:
        """A new quantizer for the CPU that finds targets in `network`."""
        raise NotImplementedError("Supply `quantizer`: return the quantizer that is to be tested.")

    def network(self) -> nn.Module:
        """A network that maps `[16, 64]` to a tensor; by default three linear layers, a norm and a table."""
        return DefaultNetwork()

    @rule
    def test_targets_are_layers_of_the_network(self) -> None:
        modules = self._modules()
        targets = list(self.quantizer().targets(modules))
        assert targets, "nothing would be quantised"
        assert set(targets) <= set(modules)
        assert len(set(targets)) == len(targets)
        assert not [name for name in targets if next(modules[name].children(), None) is not None]

    @rule
    def test_the_same_network_has_the_same_targets(self) -> None:
        quantizer, modules = self.quantizer(), self._modules()
        first = list(quantizer.targets(modules))
        assert list(quantizer.targets(modules)) == list(self.quantizer().targets(self._modules())) == first

    @rule
    def test_a_stand_in_is_made_on_the_meta_device(self) -> None:
        for name, stand_in in self._stand_ins(self.quantizer()).items():
            devices = {value.device.type for value in stand_in.state_dict().values()}
            assert devices == {"meta"}, f"the stand-in of '{name}' takes memory on {sorted(devices)}"

    @rule
    def test_the_module_that_is_replaced_stays_as_it_is(self) -> None:
        quantizer, network = self.quantizer(), self._random_network()
        modules = dict(network.named_modules())
        modules.pop("")
        names, copies = list(network.state_dict()), copies_of(dict(network.state_dict()))
        for name in quantizer.targets(modules):
            quantizer.replace(name, modules[name])
        assert list(network.state_dict()) == names
        assert is_unchanged(dict(network.state_dict()), copies)

    @rule
    def test_the_weights_of_a_target_cover_its_stand_in(self) -> None:
        quantizer = self.quantizer()
        for name, stand_in in self._stand_ins(quantizer).items():
            loaded = self._loaded(quantizer, name)
            wanted = {f"{name}.{key}": (value.shape, value.dtype) for key, value in stand_in.state_dict().items()}
            assert {key: (value.shape, value.dtype) for key, value in loaded.items()} == wanted

    @rule
    def test_an_arriving_weight_stays_as_it_is(self) -> None:
        quantizer = self.quantizer()
        weights = self._random_network().state_dict()
        for name in self._stand_ins(quantizer):
            for key in self._keys_of(name):
                tensor = weights[key].clone()
                quantizer.load(key, tensor)
                assert torch.equal(tensor, weights[key]), f"'{key}' was written into"

    @rule
    def test_a_packed_weight_does_not_keep_the_original_in_memory(self) -> None:
        quantizer = self.quantizer()
        weights = self._random_network().state_dict()
        for name in self._stand_ins(quantizer):
            for key in self._keys_of(name):
                tensor = weights[key].clone()
                for stored, packed in quantizer.load(key, tensor).items():
                    shares = packed.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
                    assert packed is tensor or not shares, f"'{stored}' is a view of '{key}'"

    @rule
    def test_the_same_weights_are_packed_to_the_same_bits(self) -> None:
        first, again = (self._all_loaded() for _ in range(2))
        assert first.keys() == again.keys()
        assert all(torch.equal(value, again[key]) for key, value in first.items())

    @rule
    def test_the_error_is_not_larger_than_stated(self) -> None:
        x = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(2)).to(self.dtype)
        network, packed = self._random_network(), self.network().to(self.dtype)
        weights = network.state_dict()
        assign_weights(packed, ((key, value.clone()) for key, value in weights.items()), quantizer=self.quantizer())
        with torch.no_grad():
            expected, found = network(x), packed(x)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        error = float((found.double() - expected.double()).abs().max() / expected.double().abs().max())
        assert error <= self.max_relative_error, f"the error is {error:.3g}"

    def _modules(self) -> dict[str, nn.Module]:
        network = self.network().to("meta", self.dtype)
        return {name: module for name, module in network.named_modules() if name}

    def _stand_ins(self, quantizer: Quantizer) -> dict[str, nn.Module]:
        modules = self._modules()
        return {name: quantizer.replace(name, modules[name]) for name in quantizer.targets(modules)}

    def _keys_of(self, name: str) -> list[str]:
        return [f"{name}.{key}" for key in self._modules()[name].state_dict()]

    def _loaded(self, quantizer: Quantizer, name: str) -> Mapping[str, Tensor]:
        weights = self._random_network().state_dict()
        return {
            stored: packed
            for key in self._keys_of(name)
            for stored, packed in quantizer.load(key, weights[key].clone()).items()
        }

    def _all_loaded(self) -> dict[str, Tensor]:
        quantizer = self.quantizer()
        return {
            key: value for name in self._stand_ins(quantizer) for key, value in self._loaded(quantizer, name).items()
        }

    def _random_network(self) -> nn.Module:
        network, generator = self.network().to(self.dtype), torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5)
        return network.requires_grad_(False)


class DefaultNetwork(nn.Module):
    """Linear layers with and without a bias, one in a container, beside a norm and a table."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))]
        )
        self.last = nn.Linear(WIDTH, WIDTH, bias=False)
        self.table = nn.Embedding(ROWS, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """`[16, 64]` to `[16, 64]`."""
        for block in self.blocks:
            x = x + block(self.norm(x))
        result: Tensor = self.last(x + self.table.weight)
        return result
