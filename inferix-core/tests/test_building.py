import pytest
import torch
from inferix_core.catalog import Catalog
from inferix_core.configuration import resolve
from inferix_core.contracts.parallel import Ranks
from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.ranks.joining import Membership
from inferix_core.runtime.building import build_parts, choose_device, choose_dtype

from .conftest import Install


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


def test_plans_that_have_frames_encoded_need_a_decoder_that_does(install: Install) -> None:
    install(
        "acme-toy",
        """
        @hookimpl
        def inferix_models():
            yield ModelSpec("toy", "A toy.", "nowhere:Model", preset={
                "planner": {"use": "anchoring"}, "solver": {"use": "toy"}, "decoder": {"use": "mute"}})

        @hookimpl
        def inferix_schedulers():
            yield Spec("anchoring", "A toy.", "nowhere:Planner", provides=frozenset({"anchors"}))

        @hookimpl
        def inferix_solvers():
            yield Spec("toy", "A toy.", "nowhere:Solver")

        @hookimpl
        def inferix_decoders():
            yield Spec("mute", "A toy.", "nowhere:Decoder")
        """,
    )
    catalog = Catalog.discover()
    config = resolve({"model": {"use": "toy"}}, catalog)
    with pytest.raises(
        UnsupportedError, match=r"'anchoring' has frames encoded again, but the decoder 'mute' does not"
    ):
        build_parts(config, catalog, membership=Membership(Ranks(0, 1, torch.device("cpu"))), dtype=torch.float32)
    with pytest.raises(UnsupportedError, match="2 ranks were started"):
        build_parts(config, catalog, membership=Membership(Ranks(0, 2, torch.device("cpu"))), dtype=torch.float32)
