"""A growing video file: an encoder and a muxer whose every finished piece goes to the file at once."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from inferix_core.errors import OutputError, WriteError

from inferix_stream.growing_file import open_for
from inferix_stream.pending_bytes import PendingBytes


class MuxedFile:
    """One video stream in one container, written to a `GrowingFile`.

    After a failure the file holds the pieces that were complete; further frames raise and `close`
    only closes.
    """

    def __init__(
        self,
        target: str | Path,
        *,
        container: str,
        codec: str,
        rate: Fraction,
        fps: float,
        container_options: Mapping[str, str],
        codec_options: Mapping[str, str],
    ) -> None:
        """Opens the file and prepares the encoder; `stream` may be configured until `start`.

        `rate` is the encoder's clock, `fps` the frames that come in a second of it.

        Raises `OutputError` if the file cannot be written or the codec is missing.
        """
        self._file = open_for(target)
        self.path = self._file.path
        self.num_frames = 0
        self._fps = fps
        self._failure: WriteError | None = None
        self._is_closed = False
        self._pending = PendingBytes()
        try:
            self._container = av.open(
                self._pending, "w", format=container, options={**container_options, "flush_packets": "1"}
            )
            stream = self._container.add_stream(codec, rate=rate, options=dict(codec_options))
        except (av.FFmpegError, ValueError) as error:
            self._file.close()
            raise OutputError(
                f"Cannot write '{self.path}': the FFmpeg that PyAV {av.__version__} brings cannot make {container} "
                f"with {codec} ({error}). Install a PyAV from its own wheels: pip install --force-reinstall av."
            ) from error

        assert isinstance(stream, VideoStream), "both codecs in use are video"
        self.stream: VideoStream = stream

    @property
    def has_failed(self) -> bool:
        """Whether a write failed; no more will be attempted."""
        return self._failure is not None

    def start(self) -> None:
        """Opens the encoder as `stream` was configured; raises `OutputError` if it refuses."""
        context = self.stream.codec_context
        size = f"{context.width}×{context.height}"
        try:
            context.open(strict=False)
        except (av.FFmpegError, ValueError) as error:
            self.close()
            raise OutputError(
                f"Cannot write '{self.path}': the encoder {context.name} refuses {size} pixels "
                f"at {float(context.rate):g} frames per second ({error}). Choose another size or another output."
            ) from error

    def encode(self, frame: VideoFrame) -> None:
        """Encodes the frame; `flush` takes the outcome to the file."""
        self._container.mux(self.stream.encode(frame))
        self.num_frames += 1

    def flush(self) -> None:
        """Appends every finished piece to the file. Raises `WriteError` if the disk is full or gone."""
        try:
            self._file.append(self._pending.value())
        except OSError as error:
            self._failure = self._explain(error)
            raise self._failure from error
        self._pending.clear()

    def check(self) -> None:
        """Raises `OutputError` if an earlier write failed or the file is closed."""
        if self._failure is not None:
            raise WriteError(f"No more frames can be written after the first failure. {self._failure}")
        if self._is_closed:
            raise OutputError(f"No more frames can be written to '{self.path}': it is closed. Open a new streamer.")

    def close(self) -> bool:
        """Finalises the file; True if every frame is in it. Safe to call twice and after a failure.

        Raises `WriteError` if the last pieces are the first that cannot be written.
        """
        if self._is_closed:
            return False
        self._is_closed = True
        is_whole = self._failure is None and self.num_frames > 0
        try:
            if is_whole:
                self._container.mux(self.stream.encode(None))
            self._container.close()  # writes the trailer, after a failure to nowhere
            if is_whole:
                self.flush()
        finally:
            self._file.close()
        return is_whole

    def _explain(self, error: OSError) -> WriteError:
        """The error for frames that could not be written, with how many are safe."""
        num_safe = num_frames_in(self.path) if self._file.num_bytes else 0
        seconds = num_safe / self._fps
        kept = f"The first {num_safe} frames ({seconds:.1f} s) are safe in it" if num_safe else "No frame is safe in it"
        return WriteError(
            f"Writing '{self.path}' failed at frame {self.num_frames}: {error.strerror or error}. {kept}. "
            "Free some space or choose a path on another disk, then generate again; the same seed makes the same video."
        )


def num_frames_in(path: Path) -> int:
    """How many whole frames the video at `path` holds."""
    try:
        with av.open(str(path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.FFmpegError, OSError):
        return 0
