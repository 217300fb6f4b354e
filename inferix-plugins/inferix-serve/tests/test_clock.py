import math

import pytest
from inferix_serve.hall.clock import PlaybackClock


class Now:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def clock(now: Now) -> PlaybackClock:
    clock = PlaybackClock(10.0, now=now)
    clock.run()
    return clock


def test_blocks_follow_one_another_without_a_gap(clock: PlaybackClock, now: Now) -> None:
    first, _ = clock.place(5)
    now.seconds += 0.2
    second, late = clock.place(10)
    assert (second - first, late) == (pytest.approx(0.5), 0.0)
    assert clock.remaining() == pytest.approx(1.3)


def test_a_block_that_comes_after_its_deadline_is_late_by_that_much_and_begins_at_once(
    clock: PlaybackClock, now: Now
) -> None:
    clock.place(5)
    now.seconds += 0.8
    start, late = clock.place(5)
    assert late == pytest.approx(0.3)
    assert clock.delay(start) == pytest.approx(0.0)


def test_a_pause_moves_every_deadline_by_its_length(clock: PlaybackClock, now: Now) -> None:
    start, _ = clock.place(5)
    now.seconds += 0.2
    clock.stand()
    now.seconds += 60.0
    assert clock.remaining() == pytest.approx(0.3)
    assert clock.delay(start + 0.4) == math.inf
    clock.run()
    assert clock.delay(start + 0.4) == pytest.approx(0.2)


def test_what_goes_on_after_it_stood_still_is_not_late(clock: PlaybackClock, now: Now) -> None:
    clock.place(5)
    now.seconds += 0.6
    clock.stand()
    clock.forget_shown()
    clock.run()
    now.seconds += 5.0
    assert clock.place(5)[1] == 0.0


def test_a_world_without_frames_has_waited_for_as_long_as_there_were_none(clock: PlaybackClock, now: Now) -> None:
    clock.place(5)
    clock.forget()
    now.seconds += 2.0
    assert clock.remaining() == pytest.approx(-2.0)
    assert not clock.has_frames
