import json
from pathlib import Path

import pytest
from inferix_core.errors import ConfigError
from inferix_core.testing.toys import ACTIONS
from inferix_serve import Client
from inferix_serve.hall.hall import Hall
from inferix_serve.recording import Run, served
from inferix_serve.script import read_script
from serve_toys import NUM_BLOCK_FRAMES, quick_engine, quick_settings

SCRIPT = """
[world]
prompt = "a pond"
seed = 3

[record]
seconds = 1.5

[[at]]
seconds = 0.9
do = "rewind"
num_blocks = 2

[[at]]
seconds = 0.2
action = "left"
hold_seconds = 0.2

[[at]]
seconds = 0.5
prompt = "a lake"

[[at]]
seconds = 0.6
action = "fly"
"""


def script_in(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "script.toml"
    path.write_text(text)
    return path


def test_a_script_is_carried_out_at_its_times_and_measured(tmp_path: Path) -> None:
    script = read_script(script_in(tmp_path, SCRIPT))
    hall = Hall(quick_engine(), quick_settings(tmp_path / "server"), actions=ACTIONS)
    with served(hall) as address, Client(address) as client:
        run = Run(script, client)
        run.carry_out()
        assert client.worlds == []
    report = run.report()
    assert [one["do"] for one in report["done"]] == ["hold", "hold", "signal", "signal", "rewind"]
    assert "no action 'fly'" in report["done"][3]["answer"]["refused"]
    assert report["done"][4]["answer"]["type"] == "ack"
    assert report["input_to_photon_ms"]["samples"] >= 2
    assert report["frames"] >= 40
    assert report["frames_lost"] <= 2, "what the rewind gave up was not lost"
    assert report["frames_given_up"] <= 4 * NUM_BLOCK_FRAMES
    json.dumps(report)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[record]\nsecond = 3", "second"),
        ("[[at]]\nseconds = 1", "give one of"),
        ('[[at]]\nseconds = 1\nprompt = "a"\naction = "left"', "give one of"),
        ('[[at]]\nseconds = 1\ndo = "rewind"', "num_blocks"),
        ('[[at]]\nseconds = 11\ndo = "pause"', "Raise record.seconds"),
        ('[[at]]\nseconds = 1\nprompt = "a"\nhold_seconds = 1', "hold_seconds"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_script(script_in(tmp_path, text))
