from __future__ import annotations

import threading
import time

import numpy as np
from inferix_stream.frame_queue import FrameQueue
from inferix_stream.live_frame import LiveFrame


def frames(*numbers: int) -> list[LiveFrame]:
    return [LiveFrame(np.zeros((2, 2, 3), np.uint8), number, 0, False, ()) for number in numbers]


def held(queue: FrameQueue) -> list[int]:
    numbers = []
    while (frame := queue.get(0.0)) is not None:
        numbers.append(frame.number)
    return numbers


def in_thread(queue: FrameQueue, *numbers: int) -> threading.Thread:
    thread = threading.Thread(target=queue.put, args=(frames(*numbers),))
    thread.start()
    return thread


def test_a_lossless_queue_lets_the_writer_wait_and_loses_nothing():
    queue = FrameQueue(4, "lossless")
    queue.put(frames(0, 1, 2, 3))
    thread = in_thread(queue, 4, 5)
    thread.join(0.1)
    assert thread.is_alive(), "the queue is full"
    assert queue.get(0.0).number == 0
    thread.join(5)
    assert not thread.is_alive()
    assert held(queue) == [1, 2, 3, 4, 5]
    assert queue.num_dropped == 0


def test_the_latest_frames_push_the_oldest_out_and_they_are_counted():
    queue = FrameQueue(4, "latest")
    started = time.monotonic()
    for first in range(0, 30, 3):
        queue.put(frames(first, first + 1, first + 2))
    assert time.monotonic() - started < 1.0
    assert held(queue) == [26, 27, 28, 29]
    assert queue.num_dropped == 26


def test_a_block_that_is_longer_than_the_queue_is_held_whole():
    for back_pressure in ("latest", "lossless"):
        queue = FrameQueue(2, back_pressure)
        queue.put(frames(*range(12)))
        assert held(queue) == list(range(12))


def test_discarding_drops_what_is_held_and_what_waits():
    queue = FrameQueue(2, "lossless")
    queue.put(frames(0, 1))
    thread = in_thread(queue, 2, 3)
    thread.join(0.05)
    queue.discard()
    thread.join(5)
    assert not thread.is_alive()
    queue.put(frames(4))
    assert held(queue) == [4]
    assert queue.num_dropped == 4


def test_a_finished_queue_still_gives_what_it_holds():
    queue = FrameQueue(4, "lossless")
    queue.put(frames(0, 1))
    queue.finish()
    assert queue.put(frames(2)) is False
    assert held(queue) == [0, 1]
    assert queue.get(60.0) is None, "nobody waits for what will not come"


def test_closing_ends_every_wait():
    queue = FrameQueue(1, "lossless")
    queue.put(frames(0))
    writer = in_thread(queue, 1)
    pause = threading.Thread(target=queue.pause, args=(60.0,))
    pause.start()
    queue.close()
    writer.join(5)
    pause.join(5)
    assert not writer.is_alive()
    assert not pause.is_alive()
    assert queue.get(60.0) is None
