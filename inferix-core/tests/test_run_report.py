"""What a run of `inferix generate` reports of itself."""

import pytest
import torch
from inferix_core.cli.generation import RunReport
from inferix_core.events import Block


def block(index: int, *, num_frames: int) -> Block:
    return Block(index, torch.zeros(num_frames, 4, 4, 3, dtype=torch.uint8), range(index, index + 1))


def test_the_first_frames_are_those_that_are_seen_and_not_a_beginning_without_any() -> None:
    report = RunReport(fps=24.0)
    for seconds, num_frames in ((0.1, 0), (2.0, 16), (3.0, 24)):
        report.count(block(report.num_blocks, num_frames=num_frames), seconds=seconds)
    assert report.first_frame_seconds == 2.0
    assert (report.num_blocks, report.num_frames, report.total_seconds) == (3, 40, 3.0)
    assert report.frames_per_second == pytest.approx(40 / 3)
