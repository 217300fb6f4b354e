"""The files of an HLS stream: every one appears whole."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from urllib.parse import quote

from inferix_core.errors import OutputError

from inferix_stream.output_path import check_file, check_folder, refusal

SEGMENT_NAME = re.compile(r"[0-9a-f]+-(init\.mp4|\d{6,}\.m4s)(\.partial)?")


class HlsFolder:
    """A playlist, and beside it a folder `<name>_segments` with the segments.

    The names of a run's segments differ from those of every other run, so that no cache on the way mistakes one for
    the other. What an earlier run left goes with the first segment; other files are not touched.
    """

    def __init__(self, playlist: Path) -> None:
        """Proves that the files can be written. Raises `OutputError` if not."""
        check_file(playlist)
        self.playlist = playlist
        self.folder = playlist.with_name(f"{playlist.stem}_segments")
        self.num_segments = 0
        self._run = f"{time.time_ns():x}"
        try:
            if playlist.exists() and not os.access(playlist, os.W_OK):
                raise PermissionError(13, "Permission denied")
            check_folder(self.folder)
            self._is_new = not self.folder.exists()
            self.folder.mkdir(exist_ok=True)
            self._probe()
        except OSError as error:
            raise refusal(playlist, error) from error

    def write_header(self, data: bytes) -> str:
        """Writes what players need before the first segment; its address relative to the playlist."""
        for path in self.folder.iterdir():
            if SEGMENT_NAME.fullmatch(path.name):
                path.unlink()
        return self._write_beside(f"{self._run}-init.mp4", data)

    def write_segment(self, data: bytes) -> str:
        """Writes the next segment; its address relative to the playlist."""
        uri = self._write_beside(f"{self._run}-{self.num_segments:06d}.m4s", data)
        self.num_segments += 1
        return uri

    def write_playlist(self, text: str) -> None:
        """Puts a new playlist in the place of the old one."""
        _write_whole(self.playlist, text.encode())

    def remove(self, uri: str) -> None:
        """Removes a segment that no playlist names any more."""
        (self.folder / uri.rpartition("/")[2]).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder if it was created here and nothing was written."""
        if self._is_new and self.num_segments == 0:
            with contextlib.suppress(OSError):  # somebody else put something there
                self.folder.rmdir()

    def _probe(self) -> None:
        try:
            for folder in (self.folder, self.playlist.parent):
                probe = folder / f".inferix-{self._run}"
                probe.write_bytes(b"")
                probe.unlink()
        except OSError:
            if self._is_new:
                self.folder.rmdir()
            raise

    def _write_beside(self, name: str, data: bytes) -> str:
        _write_whole(self.folder / name, data)
        return quote(f"{self.folder.name}/{name}")


def _write_whole(path: Path, data: bytes) -> None:
    """Writes a file that nobody ever sees in part. Raises `OSError`; then it is as it was."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def folder_for(target: str) -> HlsFolder:
    """The files of the stream whose playlist is `target`, where `~` is the user's home."""
    if not target:
        raise OutputError("Cannot write to an empty path. Give the name of a playlist, e.g. live.m3u8.")
    return HlsFolder(Path(target).expanduser())
