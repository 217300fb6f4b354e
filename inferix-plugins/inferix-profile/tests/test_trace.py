"""What `trace` measures of toy worlds, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from inferix_core.errors import ConfigError, OutputError
from inferix_core.events import Block
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.output import TimedStreamer
from inferix_core.testing.toy_engine import toy_engine
from inferix_profile.config import TraceConfig
from inferix_profile.trace import Trace


class Nowhere:
    """A streamer that throws frames away."""

    def open(self, video: Any) -> None: ...

    def write(self, block: Block) -> None: ...

    def close(self) -> None: ...


class BrokenDecoder:
    def decode(self, latents: Any, state: Any) -> Any:
        raise RuntimeError("broken")


def profiled(trace: Trace, **changes: Any) -> Engine:
    relay = Relay()
    relay.register(trace, "trace")
    return toy_engine(relay=relay, profilers=(trace,), **changes)


def quiet(**settings: Any) -> Trace:
    return Trace(TraceConfig(table=False, **settings))


def test_every_span_of_every_block_is_counted_and_they_fill_the_block() -> None:
    trace = quiet()
    output = TimedStreamer(Nowhere())
    with profiled(trace).create_world("a") as world:
        for _ in range(3):
            output.write(world.step())
    summary = trace.summary()
    assert list(summary["spans"]) == ["encode", "pass", "commit", "decode", "write"]
    assert {name: span["count"] for name, span in summary["spans"].items()} == {
        "encode": 9,
        "pass": 6,
        "commit": 3,
        "decode": 3,
        "write": 3,
    }
    in_spans = sum(span["seconds"] for name, span in summary["spans"].items() if name != "write")
    assert 0.5 * summary["block_seconds"] < in_spans <= summary["block_seconds"] <= summary["wall_seconds"]


def test_frames_count_once_although_a_run_hands_them_out_in_parts() -> None:
    trace = quiet()
    with profiled(trace).create_world("a") as world:
        cut = [*world.run(num_frames=7), *world.run(num_frames=3)]
        num_made = world.num_blocks * 8 - 3  # the first latent of a world has one frame, every other one four
    assert sum(len(block.frames) for block in cut) == 10
    summary = trace.summary()
    assert (summary["num_blocks"], summary["num_frames"]) == (2, num_made)
    assert summary["frames_per_second"] == pytest.approx(num_made / summary["wall_seconds"])


def test_worlds_of_a_batch_share_passes_and_have_their_own_frames_and_decodes() -> None:
    trace = quiet()
    engine = profiled(trace)
    worlds = [engine.create_world("a"), engine.create_world("b")]
    engine.step(worlds)
    engine.step(worlds[:1])
    summary = trace.summary()
    assert summary["spans"]["pass"]["count"] == 4
    assert summary["spans"]["decode"]["count"] == 3
    first, second = (summary["worlds"][world.id] for world in worlds)
    assert (first["num_blocks"], first["num_frames"], second["num_blocks"], second["num_frames"]) == (2, 13, 1, 5)
    assert first["seconds"]["decode"] > 0.0


def test_the_clock_stops_when_a_block_fails() -> None:
    trace = quiet()
    with profiled(trace, decoder=BrokenDecoder()).create_world("a") as world, pytest.raises(RuntimeError):
        world.step()
    summary = trace.summary()
    assert (summary["num_failed_runs"], summary["num_blocks"], summary["num_frames"]) == (1, 0, 0)
    assert summary["block_seconds"] > 0.0


@pytest.mark.parametrize(("where", "num_waits"), [("never", 0), ("block", 2), ("pass", 2 + 2 * 3)])
def test_the_host_waits_for_the_device_only_where_it_was_asked_to(where: str, num_waits: int) -> None:
    waits: list[int] = []
    trace = Trace(TraceConfig(table=False, synchronize=where), synchronize=lambda: waits.append(1))
    with profiled(trace).create_world("a") as world:
        world.step()
    assert len(waits) == num_waits


def test_a_span_of_ones_own_is_a_context_and_a_decorator_and_ends_when_its_body_raises() -> None:
    trace = quiet()

    @trace.span("factorial")
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(3) == 6
    with pytest.raises(ValueError), trace.span("outer"):
        raise ValueError
    own = trace.summary()["own_spans"]
    assert (own["factorial"]["count"], own["outer"]["count"]) == (4, 1)
    assert own["outer"]["seconds"] > 0.0


def test_metrics_come_from_calls_and_from_callbacks_and_a_broken_callback_costs_no_other() -> None:
    trace = quiet()
    trace.on_block(lambda block: {"frames": len(block.frames)})
    trace.on_block(lambda block: 1 / 0)
    with profiled(trace).create_world("a") as world:
        world.step()
        world.step()
    trace.metric("score", 0.25)
    metrics = trace.summary()["metrics"]
    assert metrics["frames"] == {"count": 2, "mean": 6.5, "min": 5.0, "max": 8.0, "last": 8.0}
    assert metrics["score"]["last"] == 0.25


def test_metrics_of_the_configuration_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_a_user.py").write_text("def first(block): return {'index': block.index}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    trace = quiet(metrics=("of_a_user:first",))
    with profiled(trace).create_world("a") as world:
        world.step()
        world.step()
    assert trace.summary()["metrics"]["index"]["max"] == 1.0
    with pytest.raises(ConfigError, match="no_such_module:f"):
        quiet(metrics=("no_such_module:f",))
    with pytest.raises(ConfigError, match="no function"):
        quiet(metrics=("math:pi",))


def test_old_blocks_are_folded_into_the_sums_and_nothing_is_lost() -> None:
    few, all_of_them = quiet(num_kept_blocks=2), quiet()
    for trace in (few, all_of_them):
        with profiled(trace).create_world("a") as world:
            for _ in range(5):
                world.step()
                trace.metric("m", 1.0)
    sums = [
        (s["num_blocks"], s["num_frames"], s["spans"]["pass"]["count"], s["metrics"]["m"]["count"])
        for s in (few.summary(), all_of_them.summary())
    ]
    assert sums[0] == sums[1] == (5, 37, 10, 5)


def test_the_files_hold_every_block_and_span_and_are_written_once(tmp_path: Path) -> None:
    paths = {"json_path": str(tmp_path / "a.json"), "chrome_path": str(tmp_path / "b.json")}
    trace = quiet(**paths)
    engine = profiled(trace)
    output = TimedStreamer(Nowhere())
    with engine.create_world("a") as world, trace.span("mine"):
        output.write(world.step())
        trace.metric("not a number", float("nan"))
    engine.close()
    measured = json.loads((tmp_path / "a.json").read_text())
    assert measured["num_frames"] == 5
    (block,) = measured["blocks"]
    assert [span["name"] for span in block["spans"]][-2:] == ["decode", "write"]
    assert block["pass_times"] == [[1000.0], [500.0], [0.0]]
    events = json.loads((tmp_path / "b.json").read_text())["traceEvents"]
    tracks = {event["args"]["name"]: event["tid"] for event in events if event["ph"] == "M"}
    assert set(tracks) == {"engine", "own spans", world.id}
    whole, *inside = [event for event in events if event["ph"] == "X" and event["tid"] == tracks["engine"]]
    assert whole["name"] == "block 0"
    assert [event["name"] for event in inside] == ["encode", "pass", "encode", "pass", "encode", "commit"]
    assert [event["args"]["times"] for event in inside if event["name"] != "encode"] == [[1000.0], [500.0], [0.0]]
    end = whole["ts"] + whole["dur"]
    assert all(whole["ts"] <= event["ts"] <= event["ts"] + event["dur"] <= end for event in inside)
    (tmp_path / "a.json").unlink()
    engine.close()
    assert not (tmp_path / "a.json").exists()


def test_the_table_names_every_span_and_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    trace = Trace(TraceConfig())
    with profiled(trace).create_world("a") as world, trace.span("mine"):
        world.step()
    trace.metric("score", 0.25)
    trace.close()
    shown = capsys.readouterr()
    assert shown.out == ""
    for words in ("1 blocks, 5 frames", "frames/s", "encode", "pass", "commit", "decode", "mine", "score"):
        assert words in shown.err


def test_a_file_that_could_not_be_written_is_refused_before_anything_is_generated(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        quiet(json_path=str(tmp_path / "absent" / "a.json"))
    with pytest.raises(OutputError, match="is a folder"):
        quiet(chrome_path=str(tmp_path))


def test_a_profiler_that_cannot_write_costs_a_warning_and_not_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    trace = quiet(json_path=str(folder / "a.json"))
    folder.rmdir()
    profiled(trace).close()
