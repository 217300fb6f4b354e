from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferix_stream.pacing import Pacer, Unpaced


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_frames_are_due_at_the_rate_of_the_content():
    clock = Clock()
    pacer = Pacer(16.0, now=clock)
    assert [pacer.delay() for _ in range(4)] == pytest.approx([0, 1 / 16, 2 / 16, 3 / 16])
    assert pacer.media_seconds == pytest.approx(3 / 16)


def test_small_delays_do_not_add_up():
    clock = Clock()
    pacer = Pacer(16.0, now=clock)
    for _ in range(1600):
        clock.time += pacer.delay() + 0.003  # a sleep that oversleeps
    assert clock.time - 100.0 == pytest.approx(1599 / 16 + 0.003)
    assert pacer.num_stalls == 0


def test_a_frame_that_comes_too_late_starts_a_new_count_and_nothing_is_hurried_after_it():
    clock = Clock()
    pacer = Pacer(10.0, now=clock)
    pacer.delay()
    clock.time += 5.0
    assert pacer.delay() == 0.0
    assert pacer.delay() == pytest.approx(0.1)
    assert pacer.num_stalls == 1
    assert pacer.media_seconds == pytest.approx(5.1), "media time goes on with the clock, so that players wait, too"


def test_a_frame_that_is_a_little_late_is_played_at_once_and_the_next_in_its_time():
    clock = Clock()
    pacer = Pacer(10.0, now=clock)
    pacer.delay()
    clock.time += 0.15
    assert pacer.delay() == 0.0
    assert pacer.delay() == pytest.approx(0.05)
    assert pacer.num_stalls == 0


@given(st.lists(st.floats(0.0, 2.0), max_size=60), st.sampled_from([7.5, 16.0, 24.0, 60.0]))
def test_media_time_never_goes_back_and_no_second_has_too_many_frames(pauses: list[float], fps: float):
    clock = Clock()
    pacer = Pacer(fps, now=clock)
    times = []
    for pause in pauses:
        clock.time += pacer.delay()
        times.append(pacer.media_seconds)
        clock.time += pause
    assert times == sorted(times)
    for start in times:
        # One frame more than the rate, and one that was late and is followed by one in its time.
        assert sum(start <= time < start + 1.0 for time in times) <= fps + 2


def test_without_pace_nothing_waits_and_media_time_is_counted_in_frames():
    pace = Unpaced(8.0)
    assert [(pace.delay(), pace.media_seconds) for _ in range(3)] == [(0.0, 0.0), (0.0, 0.125), (0.0, 0.25)]
