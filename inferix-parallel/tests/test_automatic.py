"""The choice on ranks that are there, and what the command line says of it."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from inferix_core.cli.application import run
from inferix_core.contracts.parallel import ParallelStrategy, Ranks
from inferix_core.contracts.workload import outline_of_layout
from inferix_core.plan import KVLayout
from inferix_core.testing.grid_model import GridModel
from inferix_core.testing.ranks import on_ranks
from inferix_core.testing.suites import ParallelSuite
from inferix_parallel.automatic import automatic
from inferix_parallel.configuration import AutomaticConfig
from inferix_parallel.probing import probed_topology
from inferix_parallel.sequence import SequenceParallel
from inferix_parallel.topology import Link, Topology, read_topology, write_topology
from workloads import topology, workload


class TestAutomatic(ParallelSuite):
    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        outline = outline_of_layout(GridModel().geometry, layout)
        return automatic(
            AutomaticConfig(topology="cpu"),
            ranks=ranks,
            layout=layout,
            num_heads=num_heads,
            workload=workload(outline=outline, item_bytes=4),
        )


def measured(ranks: Ranks, cache: Path | None = None) -> Topology:
    return probed_topology(ranks, dtype=torch.float32, cache=cache)


def test_measured_ranks_are_what_they_can_be_and_the_same_everywhere() -> None:
    first, second = on_ranks(2, measured)
    assert first == second
    assert (first.num_ranks, first.num_machines, first.memory_bytes) == (2, 1, None)
    assert 1e-7 < first.within.latency_seconds < 1.0
    assert 1e6 < first.within.bytes_per_second < 1e13
    assert 1e7 < first.flops_per_second < 1e16


def test_what_was_measured_is_kept_and_used_where_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "here.toml"
    first = on_ranks(2, measured, path)[0]
    assert read_topology(path).num_ranks == 2
    write_topology(replace(first, flops_per_second=3e12), path)
    assert on_ranks(2, measured, path)[1].flops_per_second == pytest.approx(3e12)
    write_topology(topology(4), path)
    assert on_ranks(2, measured, path)[0].flops_per_second != pytest.approx(4e14)


def measured_as_if_on(ranks: Ranks, machines: list[str]) -> Topology:
    with patch("socket.gethostname", return_value=machines[ranks.rank]):
        return measured(ranks)


@pytest.mark.parametrize("machines", [["a", "b"], ["a", "a", "b"], ["a", "a", "b", "b"]], ids="".join)
def test_machines_that_have_unequal_numbers_of_ranks_are_measured_too(machines: list[str]) -> None:
    found = on_ranks(len(machines), measured_as_if_on, machines)
    assert all(one == found[0] for one in found)
    assert (found[0].num_ranks, found[0].num_machines) == (len(machines), 2)
    assert 1e-7 < found[0].between.latency_seconds < 1.0


def degrees_of(ranks: Ranks, path: str) -> tuple[int, int]:
    asked = workload(num_heads=4, num_tokens=160)
    layout = asked.outline.layout
    strategy = automatic(AutomaticConfig(topology=path), ranks=ranks, layout=layout, num_heads=4, workload=asked)
    assert isinstance(strategy, SequenceParallel)
    return strategy.degrees.ring, strategy.degrees.ulysses


def test_what_the_topology_says_decides(tmp_path: Path) -> None:
    write_topology(topology(2, flops_per_second=1e11), tmp_path / "near.toml")
    write_topology(topology(2, flops_per_second=1e11, within=Link(0.01, 1e10)), tmp_path / "far.toml")
    assert on_ranks(2, degrees_of, str(tmp_path / "near.toml")) == [(1, 2)] * 2  # sends least
    assert on_ranks(2, degrees_of, str(tmp_path / "far.toml")) == [(2, 1)] * 2  # waits once, not twice


def test_explaining_lists_candidates_without_starting_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["parallel", "explain", "--ranks", "2", "--set", "model.use=nothing"]) == 2
    assert "nothing" in capsys.readouterr().err
    assert run(["parallel", "explain", "--ranks", "2", "--size", "480"]) == 2
    assert "HEIGHTxWIDTH" in capsys.readouterr().err
