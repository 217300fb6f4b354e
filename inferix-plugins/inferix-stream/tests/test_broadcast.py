from __future__ import annotations

import asyncio
import threading
import time

import av
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_stream.broadcast import Broadcast
from inferix_stream.configuration import BroadcastConfig

VIDEO = VideoFormat(96, 160, 96.0)


@pytest.fixture
def broadcast():
    made = Broadcast(BroadcastConfig(viewer_queue_seconds=0.25))
    made.open(VIDEO)
    yield made
    made.close()


@pytest.fixture
def write(painted, make_blocks):
    def write_numbers(broadcast, numbers):
        for block in make_blocks(painted(numbers)):
            broadcast.write(block)

    return write_numbers


def taken(subscription):
    frames = []
    while (frame := subscription.take()) is not None:
        frames.append(frame)
    return frames


def drain(subscription, into):
    """A viewer who keeps up, in a thread of its own."""

    def run():
        while not subscription.is_ended:
            into.extend(taken(subscription))
            time.sleep(0.002)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def decoded(codec, frames):
    decoder = av.CodecContext.create(codec, "r")
    pictures = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))]
    return [picture.to_ndarray(format="rgb24") for picture in pictures]


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def test_all_viewers_of_a_codec_share_one_encode(broadcast, write):
    frames = [[], [], []]
    viewers = [drain(broadcast.subscribe("h264"), into) for into in frames]
    write(broadcast, range(96))
    broadcast.close()
    for viewer in viewers:
        viewer.join()
    assert [[frame.number for frame in one][:96] for one in frames] == [list(range(96))] * 3
    assert frames[0][50].data is frames[1][50].data, "the same bytes, not equal ones"
    assert broadcast.statistics.num_frames_encoded <= 98, "96 frames, and the last one again at the end"


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_slow_viewer_skips_to_a_keyframe_and_others_lose_nothing(broadcast, write, number_in, codec):
    quick, slow = [], broadcast.subscribe(codec)
    viewer = drain(broadcast.subscribe(codec), quick)
    write(broadcast, range(96))
    wait_for(lambda: slow.num_dropped > 0 and slow.num_pending > 0)
    late = taken(slow)
    write(broadcast, range(96, 192))
    late_again = []
    other = drain(slow, late_again)
    broadcast.close()
    viewer.join()
    other.join()
    assert [frame.number for frame in quick][:192] == list(range(192))
    assert len(late) <= 24, "a viewer's queue is bounded"
    assert len(late) + len(late_again) + slow.num_dropped >= 192 > len(late) + len(late_again)
    for part in (late, late_again):
        assert part[0].is_keyframe
        assert [number_in(picture) for picture in decoded(codec, part)] == [frame.number for frame in part]


def test_the_decoder_is_never_reset(broadcast, write):
    frames = []
    viewer = drain(broadcast.subscribe("h264"), frames)
    write(broadcast, range(120))
    broadcast.close()
    viewer.join()
    assert [frame.number for frame in frames if frame.is_keyframe] == [0], "a keyframe at the first block and no other"
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))


def test_nothing_is_encoded_when_nobody_watches(broadcast, write):
    write(broadcast, range(24))
    wait_for(lambda: broadcast.statistics.num_frames_played == 24)
    subscription = broadcast.subscribe("vp8")
    write(broadcast, range(24, 96))
    wait_for(lambda: broadcast.statistics.num_frames_played == 96)
    subscription.close()
    write(broadcast, range(96, 120))
    broadcast.close()
    statistics = broadcast.statistics
    assert statistics.num_frames_played == 120
    assert 70 <= statistics.num_frames_encoded <= 75
    assert statistics.num_viewers == 0


@pytest.mark.parametrize("codec", ["h264", "vp8", "mjpeg"])
def test_who_joins_a_world_that_rests_sees_its_last_frame(broadcast, write, number_in, codec):
    write(broadcast, [5, 6, 7])
    wait_for(lambda: broadcast.statistics.num_frames_played == 3)
    subscription = broadcast.subscribe(codec)
    wait_for(lambda: subscription.num_pending > 0)
    first = subscription.take()
    assert (first.number, first.is_keyframe) == (2, True)
    assert number_in(decoded(codec, [first, first])[0]) == 7


def test_pictures_are_whole_and_carry_the_number_of_their_block(broadcast, write, number_in):
    pictures = []
    viewer = drain(broadcast.subscribe("mjpeg"), pictures)
    write(broadcast, range(36))
    broadcast.close()
    viewer.join()
    assert [(frame.number, frame.block_index) for frame in pictures] == [(n, n // 12) for n in range(36)]
    assert [number_in(decoded("mjpeg", [frame])[0]) for frame in pictures] == list(range(36))


def test_every_frame_is_told_when_it_is_played(write):
    played = []
    broadcast = Broadcast(BroadcastConfig(), on_played=played.append)
    broadcast.open(VIDEO)
    write(broadcast, range(24))
    broadcast.close()
    assert [(one.number, one.block_index) for one in played] == [(n, n // 12) for n in range(24)]
    assert [one.number for one in played if one.is_last_of_block] == [11, 23]
    assert played[-1].at - played[0].at == pytest.approx(23 / 96, abs=0.1)


def test_a_keyframe_that_is_asked_for_comes_but_not_more_than_two_a_second(broadcast, write):
    frames = []
    viewer = drain(broadcast.subscribe("h264"), frames)
    write(broadcast, range(96))
    for _ in range(96):
        broadcast.request_keyframe("h264")
        write(broadcast, [0])
    broadcast.close()
    viewer.join()
    assert 3 <= sum(frame.is_keyframe for frame in frames) <= 6


def test_a_viewer_on_an_event_loop_gets_every_frame_and_hears_of_the_end(broadcast, write):
    async def watch():
        subscription, numbers = broadcast.subscribe("vp8"), []
        writing = asyncio.ensure_future(asyncio.to_thread(lambda: (write(broadcast, range(48)), broadcast.close())))
        while True:
            try:
                numbers.append((await asyncio.wait_for(subscription.next(), 5)).number)
            except StopAsyncIteration:
                await writing
                return numbers

    assert asyncio.run(watch())[:48] == list(range(48))


def test_viewers_are_refused_before_opening_after_closing_and_for_other_codecs(broadcast):
    with pytest.raises(OutputError, match="Did you mean 'vp8'"):
        broadcast.subscribe("vp9")
    broadcast.close()
    with pytest.raises(OutputError, match="not open"):
        broadcast.subscribe("vp8")
    with pytest.raises(OutputError, match="not open"):
        Broadcast(BroadcastConfig()).subscribe("vp8")
