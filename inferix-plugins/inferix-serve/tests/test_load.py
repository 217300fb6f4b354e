from pathlib import Path

import pytest
from inferix_core.testing.toys import ACTIONS
from inferix_serve.hall.hall import Hall
from inferix_serve.load import measured
from serve_toys import FPS, quick_engine, quick_settings


def test_the_load_of_two_worlds_is_measured(tmp_path: Path) -> None:
    hall = Hall(quick_engine(), quick_settings(tmp_path), actions=ACTIONS)
    row = measured(hall, 2, seconds=2.0)
    assert row.num_worlds == 2
    assert row.num_blocks >= 10
    assert row.fps == pytest.approx(FPS, rel=0.4)
    assert 0 < row.block_p50 <= row.block_p95
    assert 0 < row.age_p50 <= row.age_p95 < 5.0
    assert hall.living == ()
