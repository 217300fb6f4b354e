from __future__ import annotations

import threading
import time

import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError
from inferix_stream.configuration import NullConfig
from inferix_stream.live_frame import LiveFrame
from inferix_stream.live_streamer import LiveStreamer
from inferix_stream.null import NullStreamer

VIDEO = VideoFormat(32, 48, 50.0)


class Recorder(LiveStreamer):
    """Notes when which frame was played; fails or hangs where it is told to."""

    def __init__(self, fail_at: int = -1, hang: threading.Event | None = None, **settings: object) -> None:
        super().__init__(NullConfig(paced=True, **settings), target="recorder")
        self.played: list[tuple[int, float]] = []
        self._fail_at, self._hang = fail_at, hang

    def _play(self, frame: LiveFrame, media_seconds: float) -> None:
        if frame.number == self._fail_at:
            raise RuntimeError("the encoder died")
        if self._hang is not None:
            self._hang.wait(10)
        self.played.append((frame.number, time.monotonic()))

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.played]


def test_frames_are_played_at_the_content_rate_however_fast_they_are_made(make_frames, make_blocks):
    streamer = Recorder()
    streamer.open(VIDEO)
    for block in make_blocks(make_frames(48)):
        streamer.write(block)
    streamer.close()
    assert streamer.numbers == list(range(48))
    times = [at for _, at in streamer.played]
    assert times[-1] - times[0] == pytest.approx(47 / 50, abs=0.1)


def test_a_lossless_streamer_holds_the_world_back_to_the_rate_of_its_viewers(make_frames, make_blocks):
    streamer = Recorder(queue_seconds=0.24)
    streamer.open(VIDEO)
    started = time.monotonic()
    for block in make_blocks(make_frames(72)):
        streamer.write(block)
        assert streamer.num_frames_pending <= 12 + 12, "the queue and one block"
    assert time.monotonic() - started > 0.8, "72 frames are 1.44 s, and at most 24 are held"
    streamer.close()
    assert streamer.numbers == list(range(72))
    assert streamer.num_frames_dropped == 0


def test_the_latest_frames_are_played_and_a_viewer_that_hangs_never_holds_the_world_back(make_frames, make_blocks):
    hang = threading.Event()
    streamer = Recorder(hang=hang, back_pressure="latest", queue_seconds=0.24)
    streamer.open(VIDEO)
    started = time.monotonic()
    for block in make_blocks(make_frames(96)):
        streamer.write(block)
    assert time.monotonic() - started < 0.5
    hang.set()
    streamer.close()
    assert streamer.numbers[-12:] == list(range(84, 96))
    assert streamer.numbers == sorted(streamer.numbers)
    assert streamer.num_frames_dropped == 96 - len(streamer.numbers) >= 70


def test_what_is_discarded_is_not_played(make_frames, make_blocks):
    streamer = Recorder()
    streamer.open(VIDEO)
    first, second = make_blocks(make_frames(24))
    streamer.write(first)
    streamer.discard_pending()
    streamer.write(second)
    streamer.close()
    assert streamer.numbers[-12:] == list(range(12, 24))
    assert len(streamer.numbers) < 18
    assert streamer.num_frames_dropped == 24 - len(streamer.numbers)


def test_a_playback_that_fails_is_told_to_the_writer_and_nobody_waits_for_it(make_frames, make_blocks):
    streamer = Recorder(fail_at=3, queue_seconds=0.1)
    streamer.open(VIDEO)

    def write_all():
        for block in make_blocks(make_frames(120)):
            streamer.write(block)

    with pytest.raises(WriteError, match="RuntimeError: the encoder died"):
        write_all()
    streamer.close()
    assert streamer.numbers == [0, 1, 2]


def test_a_block_can_be_changed_once_it_is_written(make_frames, make_blocks):
    pictures = []

    class Keeper(Recorder):
        def _play(self, frame: LiveFrame, media_seconds: float) -> None:
            pictures.append(frame.pixels)

    streamer = Keeper()
    streamer.open(VIDEO)
    (block,) = make_blocks(make_frames(10))
    streamer.write(block)
    block.frames.zero_()
    streamer.close()
    assert all(picture.any() for picture in pictures)


def test_no_thread_stays_behind(make_frames, make_blocks):
    before = threading.active_count()
    streamer = NullStreamer(NullConfig())
    streamer.open(VIDEO)
    streamer.write(make_blocks(make_frames(12))[0])
    streamer.close()
    streamer.close()
    assert threading.active_count() == before
    with pytest.raises(OutputError, match="closed"):
        streamer.write(make_blocks(make_frames(12))[0])


def test_throwing_frames_away_takes_no_time_unless_it_is_paced(make_frames, make_blocks):
    for paced, shortest, longest in ((False, 0.0, 0.3), (True, 0.4, 1.5)):
        streamer = NullStreamer(NullConfig(paced=paced))
        started = time.monotonic()
        streamer.open(VIDEO)
        for block in make_blocks(make_frames(24)):
            streamer.write(block)
        streamer.close()
        assert shortest <= time.monotonic() - started <= longest
