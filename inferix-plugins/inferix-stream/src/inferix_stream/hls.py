"""A world as HLS: segments and a playlist that any web server hands out."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path

import av
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError

from inferix_stream.configuration import HlsConfig
from inferix_stream.encoders import EncoderSettings
from inferix_stream.fragments import FragmentEncoder
from inferix_stream.hls_folder import HlsFolder, folder_for
from inferix_stream.hls_playlist import Segment, playlist
from inferix_stream.live_frame import LiveFrame
from inferix_stream.live_streamer import LiveStreamer


class HlsStreamer(LiveStreamer):
    """Writes H.264 as fragmented mp4 segments of equal length, and the playlist anew after each.

    The stream is one encode with one timeline: no segment resets a decoder. An "event" keeps everything and is a
    video on demand once it is closed; a "window" lists the newest segments, and keeps as many again for players that
    have just read an older playlist.
    """

    def __init__(self, config: HlsConfig, *, target: str | Path) -> None:
        super().__init__(config, target=str(target))
        self.config = config
        self._folder: HlsFolder | None = None
        self._encoder: FragmentEncoder | None = None
        self._header_uri = ""
        self._segments: deque[Segment] = deque()
        self._is_event = config.playlist == "event"
        self._fps = 0.0
        self._frames_per_segment = 1
        self._num_frames = 0
        self._num_in_segment = 0
        self._is_ended = False

    def _start(self, video: VideoFormat) -> None:
        self._fps = video.fps
        self._frames_per_segment = max(1, round(self.config.segment_seconds * video.fps))
        settings = EncoderSettings(
            h264=self.config.encoder,
            bitrate=self.config.bitrate,
            keyframe_seconds=2 * self._frames_per_segment / video.fps,  # each segment's first frame is made one
            has_global_header=True,
        )
        folder = folder_for(self.target)
        try:
            self._encoder = FragmentEncoder(video, settings)
        except OutputError:
            folder.close()
            raise
        self._folder = folder

    def _play(self, frame: LiveFrame, media_seconds: float) -> None:
        assert self._encoder is not None, "open() sets the encoder"
        is_first = self._num_frames % self._frames_per_segment == 0
        # The content's own time, not the clock's: players join segments by it, and must find no hole.
        fragment = self._encoder.encode(frame.pixels, media_seconds=self._num_frames / self._fps, is_first=is_first)
        if fragment:
            self._add_segment(fragment, is_last=False)
        self._num_frames += 1
        self._num_in_segment += 1

    def _finish(self) -> None:
        if self._encoder is None or self._num_frames == 0:
            return
        self._add_segment(self._encoder.finish(), is_last=True)
        self._encoder = None

    def _release(self) -> None:
        if self._encoder is not None:
            with contextlib.suppress(av.FFmpegError):  # without a frame there is nothing to end
                self._encoder.close()
            self._encoder = None
        if self._folder is not None:
            if self._segments and not self._is_ended:
                with contextlib.suppress(OSError):  # after a failure players are told that nothing more comes
                    self._write_playlist(self._folder, is_finished=True)
            self._folder.close()

    def _add_segment(self, fragment: bytes, *, is_last: bool) -> None:
        assert self._folder is not None, "open() sets the folder"
        folder = self._folder
        try:
            if not self._header_uri and self._encoder is not None:
                self._header_uri = folder.write_header(self._encoder.header)
            self._segments.append(Segment(folder.write_segment(fragment), self._num_in_segment / self._fps))
            self._num_in_segment = 0
            self._write_playlist(folder, is_finished=is_last)
        except OSError as error:
            num_safe = self._num_frames - self._num_in_segment
            raise WriteError(
                f"Writing '{self.target}' failed at frame {self._num_frames}: {error.strerror or error}. "
                f"The first {num_safe} frames ({num_safe / self._fps:.1f} s) are safe. "
                "Free some space or choose a path on another disk, then generate again."
            ) from error

    def _write_playlist(self, folder: HlsFolder, *, is_finished: bool) -> None:
        num_listed = len(self._segments) if self._is_event else min(len(self._segments), self.config.num_segments)
        listed = list(self._segments)[-num_listed:]
        text = playlist(
            listed,
            first_number=folder.num_segments - num_listed,
            header_uri=self._header_uri,
            longest_seconds=self._frames_per_segment / self._fps,
            is_event=self._is_event,
            is_finished=is_finished,
        )
        folder.write_playlist(text)
        self._is_ended = is_finished
        while not self._is_event and len(self._segments) > 2 * self.config.num_segments:
            folder.remove(self._segments.popleft().uri)
