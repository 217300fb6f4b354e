"""The strategy over xDiT's exchanges, with a stand-in for its package where that does not run."""

import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from inferix_core.contracts.parallel import Ranks
from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.testing.grid_model import GridModel
from inferix_core.testing.ranks import on_ranks
from inferix_core.testing.toy_engine import spread_toy_engine, toy_engine
from inferix_parallel.configuration import XfuserConfig
from inferix_parallel.xdit import XfuserUlysses
from torch import Tensor

NUM_RANKS = 3  # divides the 15 tokens of the model


class StandIn:
    """As `xfuser.model_executor.layers.usp` says of itself: `[B, H, S, D]`, tokens rank after rank."""

    def _ft_c_input_all_to_all(self, x: Tensor) -> Tensor:
        return torch.cat(self._exchanged(x.chunk(NUM_RANKS, dim=1)), dim=2)

    def _ft_c_output_all_to_all(self, x: Tensor) -> Tensor:
        return torch.cat(self._exchanged(x.chunk(NUM_RANKS, dim=2)), dim=1)

    def _exchanged(self, chunks: tuple[Tensor, ...]) -> list[Tensor]:
        received = [torch.empty_like(chunk).contiguous() for chunk in chunks]
        dist.all_to_all(received, [chunk.contiguous() for chunk in chunks])
        return received


def strategy(ranks: Ranks, model: GridModel) -> XfuserUlysses:
    return XfuserUlysses(
        XfuserConfig(), ranks=ranks, layout=model.layout, num_heads=model.num_heads, exchange=StandIn()
    )


def latents_on(ranks: Ranks) -> Tensor:
    model = GridModel(num_heads=6)
    engine = spread_toy_engine(strategy(ranks, model), ranks=ranks, model=model)
    worlds = [engine.create_world("a", seed=seed) for seed in (1, 2)]
    engine.step(worlds)
    engine.step(worlds)
    return torch.stack([latent for world in worlds for latent in world.state.committed.values()])


def test_the_latents_are_those_of_one_rank() -> None:
    engine = toy_engine(model=GridModel(num_heads=6))
    worlds = [engine.create_world("a", seed=seed) for seed in (1, 2)]
    engine.step(worlds)
    engine.step(worlds)
    expected = torch.stack([latent for world in worlds for latent in world.state.committed.values()])
    for found in on_ranks(NUM_RANKS, latents_on):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)


def test_shares_that_would_differ_are_refused_with_ranks_that_would_do() -> None:
    model = GridModel()
    with pytest.raises(ConfigError, match=r"15 tokens .* 2 ranks; 1, 3, 5, 15 would work"):
        XfuserUlysses(XfuserConfig(), ranks=Ranks(0, 2, torch.device("cpu")), layout=model.layout, num_heads=4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_without_cuda_it_says_so_and_imports_nothing() -> None:
    model = GridModel(num_heads=3)
    with pytest.raises(UnsupportedError, match="needs CUDA"):
        XfuserUlysses(XfuserConfig(), ranks=Ranks(0, 3, torch.device("cpu")), layout=model.layout, num_heads=3)
    assert "xfuser" not in sys.modules


def test_declaring_the_strategies_loads_no_tensor_library() -> None:
    code = (
        "import sys, inferix_parallel.plugin as p; list(p.inferix_parallel_strategies()); "
        "sys.exit(bool({'torch', 'xfuser'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
