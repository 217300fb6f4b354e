import pytest
import torch
from inferix_core.errors import ConfigError
from inferix_core.runtime.building import choose_device, choose_dtype


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_here_is_named(name: str) -> None:
    if {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[name.partition(":")[0]]:
        pytest.skip(f"there is {name} here")
    with pytest.raises(ConfigError, match=f"'{name}' was asked for"):
        choose_device(name)


def test_float16_is_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigError, match="slower than float32"):
        choose_dtype("float16", torch.device("cpu"))


def test_auto_is_a_device_and_a_dtype_that_work() -> None:
    device = choose_device("auto")
    x = torch.ones(2, 2, device=device, dtype=choose_dtype("auto", device))
    assert (x @ x).sum().item() == 8.0
