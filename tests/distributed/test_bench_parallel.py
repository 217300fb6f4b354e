"""What ranks send, as the system's counters of the network interface have it, against what strategies say they send."""

import json
from pathlib import Path

import pytest
from inferix_core.bench.interface import HEADER_BYTES, Sent, namespace_command, sent_by
from inferix_core.cli.application import run
from inferix_core.errors import UnsupportedError

needs_namespace = pytest.mark.skipif(
    not namespace_command(), reason="the system gives no network namespace to count in (unshare --net)"
)


@needs_namespace
@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("ulysses", ("--ranks", "3")),
        pytest.param("ring", ("--ranks", "2", "--set", "parallel.passes=keys"), marks=pytest.mark.long),
    ],
)
def test_the_wire_carries_what_the_formula_says(strategy: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    target = tmp_path / "measured.json"
    named = ("--model", "tinyworld", "--strategy", strategy, "--blocks", "1", "--set", "dtype=float32")
    assert run(["bench", "parallel", *named, *settings, "--json-path", str(target)]) == 0
    (cost,) = json.loads(target.read_text())["models"][0]["costs"]
    assert cost["is_alone"]
    assert cost["num_formula_bytes"] > 1e6
    assert abs(cost["num_wire_bytes"] / cost["num_formula_bytes"] - 1) < 0.05


def test_packets_are_counted_without_their_headers() -> None:
    assert Sent(1000 + 3 * HEADER_BYTES, 5).since(Sent(0, 2)).payload_bytes == 1000


def test_an_interface_that_is_not_here_is_named() -> None:
    assert sent_by("lo").num_bytes >= 0
    with pytest.raises(UnsupportedError, match="'nowhere0'"):
        sent_by("nowhere0")


@pytest.mark.long
def test_ranks_that_cannot_be_measured_say_why(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "parallel", "--model", "tinyworld", "--strategy", "ulysses", "--ranks", "2"]) == 1
    assert "3 heads cannot be split over 2 ranks" in capfd.readouterr().err
