"""nginx as an RTMP server on the loopback interface, and a player that counts what it is sent."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from needs import nginx_module, program

CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; sync 10ms; }} }} }}
"""


class NginxRtmp:
    """An nginx that can be started and stopped again and again on one port."""

    def __init__(self, folder: Path) -> None:
        executable, module = program("nginx"), nginx_module("ngx_rtmp_module.so")
        if executable is None or module is None:
            pytest.skip(
                "there is no nginx with the RTMP module; on Debian: apt-get install nginx-light libnginx-mod-rtmp"
            )
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self._configuration = folder / "nginx.conf"
        self._configuration.write_text(CONFIGURATION.format(module=module, folder=folder, port=self.port))
        self._command = [executable, "-p", str(folder), "-c", str(self._configuration), "-e", str(folder / "early.log")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where a stream is pushed to and pulled from."""
        return f"rtmp://127.0.0.1:{self.port}/live/world"

    def start(self) -> None:
        """Starts it and returns when it listens."""
        self._process = subprocess.Popen(self._command)
        wait_for(self._listens)

    def stop(self) -> None:
        """Kills it, connections and all."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "nginx did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Player(threading.Thread):
    """Pulls a stream until it ends and keeps the painted numbers of its frames, and their times in seconds."""

    def __init__(
        self, url: str, *, silence_seconds: float = 2.0, read: Callable[[np.ndarray], int] | None = None
    ) -> None:
        super().__init__()
        self._url = url
        self._silence_seconds = silence_seconds
        self._read = read or number_in
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.num_keyframes = 0

    def run(self) -> None:
        """Plays; that nothing comes any more is how a live stream ends."""
        options = {"rtmp_live": "live"}
        try:
            with av.open(self._url, options=options, timeout=(20.0, self._silence_seconds)) as container:
                for frame in container.decode(video=0):
                    self.num_keyframes += int(frame.key_frame)
                    self.numbers.append(self._read(frame.to_ndarray(format="rgb24")))
                    self.times.append(frame.time or 0.0)
        except (av.FFmpegError, OSError):
            return


def painted(numbers: range, *, height: int = 96, width: int = 160) -> np.ndarray:
    """Frames `[T, H, W, 3]` with a bar for each of ten bits of their number."""
    frames = np.full((len(numbers), height, width, 3), 60, np.uint8)
    for frame, number in zip(frames, numbers, strict=True):
        for bit in range(10):
            frame[16:64, 16 * bit : 16 * bit + 16] = 230 if number >> bit & 1 else 20
    return frames


def number_in(picture: np.ndarray) -> int:
    """The number that is painted in a picture; -1 in one that is too small for numbers."""
    if picture.shape[1] < 160:
        return -1
    return sum(int(picture[30:50, 16 * bit + 5 : 16 * bit + 11].mean() > 125) << bit for bit in range(10))


def marked_number(picture: np.ndarray) -> int:
    """The number that `inferix serve` paints into the top left where `serve.mark_frames` is set."""
    return sum(int(picture[1:3, 4 * bit + 1 : 4 * bit + 3].mean() > 128) << bit for bit in range(24))


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Returns when it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
