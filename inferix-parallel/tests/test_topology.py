from pathlib import Path

import pytest
from inferix_core.errors import ConfigError
from inferix_parallel.topology import named_topology, read_topology, write_topology
from workloads import topology


def test_a_written_topology_is_read_again(tmp_path: Path) -> None:
    before = topology(8, num_machines=2, memory_bytes=80 * 2**30)
    write_topology(before, tmp_path / "two.toml")
    after = read_topology(tmp_path / "two.toml")
    assert (after.num_ranks, after.num_machines, after.memory_bytes) == (8, 2, 80 * 2**30)
    assert after.within.bytes_per_second == pytest.approx(before.within.bytes_per_second)
    assert after.between.latency_seconds == pytest.approx(before.between.latency_seconds)


def test_fewer_ranks_use_as_few_machines_as_they_fit_on(tmp_path: Path) -> None:
    write_topology(topology(8, num_machines=2), tmp_path / "two.toml")
    assert named_topology(str(tmp_path / "two.toml"), num_ranks=4).num_machines == 1
    with pytest.raises(ConfigError, match="16 ranks were asked for, but the topology has 8"):
        named_topology(str(tmp_path / "two.toml"), num_ranks=16)


def test_known_machines_are_as_many_as_the_ranks_need() -> None:
    assert named_topology("nvlink", num_ranks=16).num_machines == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tflops = 1.0", "ranks_per_machine"),
        ("ranks_per_machine = 2\ntflops = 1.0\nspeed = 3\n[within]\nlatency_us = 1\ngigabytes_per_second = 1", "speed"),
        ("ranks_per_machine = ", "no TOML"),
        (
            "machines = 2\nranks_per_machine = 2\ntflops = 1.0\n[within]\nlatency_us = 1\ngigabytes_per_second = 1",
            r"\[between\]",
        ),
    ],
)
def test_a_file_that_is_no_topology_is_told_of_by_what_is_wrong(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_topology(tmp_path / "bad.toml")


def test_an_unknown_name_brings_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'nvlink'"):
        named_topology("nvlnk", num_ranks=2)
