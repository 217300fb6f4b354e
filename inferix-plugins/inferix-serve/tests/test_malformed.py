"""Requests that make no sense, made from the server's own description of itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from serve_toys import quick_server

pytest.importorskip("schemathesis")
NUM_REQUESTS = 200


def test_hundreds_of_malformed_requests_never_make_the_server_fail(tmp_path: Path) -> None:
    report = tmp_path / "requests.ndjson"
    limits = {"max_worlds": 3, "max_video_seconds": 0.5, "max_saved_worlds": 3}
    with quick_server(tmp_path, limits=limits) as client:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{client._address}/v1/openapi.json"),
                *("--checks", "not_a_server_error", "--mode", "all", "--phases", "coverage,fuzzing"),
                *("--max-examples", "5", "--seed", "1", "--no-color", "--generation-database", "none"),
                *("--continue-on-failure", "--suppress-health-check", "all"),
                *("--report", "ndjson", "--report-ndjson-path", str(report)),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        statuses = [status for line in report.read_text().splitlines() for status in statuses_in(json.loads(line))]
        print(len(statuses), "requests;", sum(400 <= status < 500 for status in statuses), "malformed")
        assert len(statuses) >= NUM_REQUESTS
        assert max(statuses) < 500
        assert sum(400 <= status < 500 for status in statuses) >= NUM_REQUESTS
        world = client.create_world("a pond", paused=True) if len(client.worlds) < 3 else client.worlds[0]
        assert world.view["id"] == world.id


def statuses_in(value: object) -> list[int]:
    """Every status code in a record of the report."""
    if isinstance(value, dict):
        own = [value["status_code"]] if isinstance(value.get("status_code"), int) else []
        return own + [status for inner in value.values() for status in statuses_in(inner)]
    if isinstance(value, list):
        return [status for inner in value for status in statuses_in(inner)]
    return []
