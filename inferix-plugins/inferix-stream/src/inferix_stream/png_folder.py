"""A folder with one PNG for each frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError

from inferix_stream.configuration import PngFolderConfig
from inferix_stream.output_path import check_folder, refusal
from inferix_stream.pixels import block_pixels
from inferix_stream.png import PngEncoder

if TYPE_CHECKING:
    from inferix_core.events import Block

FRAME_NAME = re.compile(r"frame_\d{6,}\.png")


class PngFolderStreamer:
    """Writes frame_000000.png, frame_000001.png, … into a folder, which is created if its parent exists.

    The frames of an earlier run are removed when the first block arrives; no other file is touched.
    """

    def __init__(self, config: PngFolderConfig, *, target: str | Path) -> None:
        self.config = config
        self.folder = Path(target).expanduser()
        self.num_frames = 0
        self._video: VideoFormat | None = None
        self._encoder: PngEncoder | None = None
        self._failure: WriteError | None = None
        self._is_closed = False
        self._is_new = False

    def open(self, video: VideoFormat) -> None:
        """Creates the folder and proves that files can be written in it."""
        check_folder(self.folder)
        self._is_new = not self.folder.exists()
        old = [] if self._is_new else self._frames()
        if old and not self.config.overwrite:
            raise OutputError(
                f"'{self.folder}' already holds {len(old)} frames ({old[0].name} …). "
                "Choose an empty folder, or set `overwrite = true` to replace them."
            )
        probe = self.folder / ".inferix-probe"
        try:
            self.folder.mkdir(exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise refusal(self.folder, error) from error
        self._video = video
        self._encoder = PngEncoder(
            height=video.height, width=video.width, compression_level=self.config.compression_level
        )

    def write(self, block: Block) -> None:
        """Writes one file for each of the block's frames."""
        pixels = block_pixels(block, self._video)
        assert self._encoder is not None, "open() sets the encoder with the format"
        if self._failure is not None:
            raise WriteError(f"No more frames can be written after the first failure. {self._failure}")
        if self._is_closed:
            raise OutputError(f"No more frames can be written to '{self.folder}': it is closed. Open a new streamer.")
        if self.num_frames == 0:
            for path in self._frames():
                path.unlink()
        for picture in pixels:
            self._write_file(self._encoder.encode(picture))

    def close(self) -> None:
        """Ends the writing; a folder that was created here and got no frame is removed again."""
        if self._is_new and self.num_frames == 0 and self._video is not None and not self._is_closed:
            self.folder.rmdir()
        self._is_closed = True

    def _write_file(self, png: bytes) -> None:
        path = self.folder / f"frame_{self.num_frames:06d}.png"
        try:
            path.write_bytes(png)
        except BaseException as error:  # an interrupt must not leave half a picture either
            path.unlink(missing_ok=True)
            if not isinstance(error, OSError):
                raise
            self._failure = self._explain(error, path)
            raise self._failure from error
        self.num_frames += 1

    def _explain(self, error: OSError, path: Path) -> WriteError:
        assert self._video is not None, "frames are only written to an open folder"
        return WriteError(
            f"Writing '{path}' failed: {error.strerror or error}. The first {self.num_frames} frames "
            f"({self.num_frames / self._video.fps:.1f} s) are safe in '{self.folder}'. Free some space or choose a "
            "folder on another disk, then generate again; the same seed makes the same video."
        )

    def _frames(self) -> list[Path]:
        """The frames that lie in the folder, in order of their names."""
        return sorted(path for path in self.folder.iterdir() if FRAME_NAME.fullmatch(path.name))
