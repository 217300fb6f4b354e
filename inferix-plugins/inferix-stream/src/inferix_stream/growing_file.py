"""A file that only ever grows by whole pieces."""

from __future__ import annotations

import io
from pathlib import Path

from inferix_core.errors import OutputError

from inferix_stream.output_path import check_file, refusal


class GrowingFile:
    """A file whose content is always a whole number of appended pieces.

    Opening proves that the file can be written but keeps what an earlier run left in it: that goes
    with the first piece, so that a run that fails before its first frame destroys nothing. Pieces
    go straight to the operating system, so that a killed process loses none of them.
    """

    def __init__(self, path: Path) -> None:
        """Opens `path`, creating it if need be.

        Raises `OutputError` if its folder does not exist, it is a folder, or it may not be written.
        """
        check_file(path)
        self.path = path
        self.num_bytes = 0
        try:
            self._is_new = not path.exists()
            self._file: io.FileIO = open(path, "xb" if self._is_new else "r+b", buffering=0)  # noqa: SIM115, PTH123
        except OSError as error:
            raise refusal(path, error) from error

    def append(self, piece: bytes) -> None:
        """Appends all of `piece`; on any exception the file is left as it was before the call.

        Raises `OSError` if there is no room.
        """
        if not piece:
            return
        try:
            if self.num_bytes == 0 and not self._is_new:
                self._file.truncate(0)
            self._file.seek(self.num_bytes)
            rest = memoryview(piece)
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:  # an interrupt in the middle must not leave half a piece either
            self._file.truncate(self.num_bytes)
            raise
        self.num_bytes += len(piece)

    def close(self) -> None:
        """Closes the file, and removes it again if it was created here and nothing was appended."""
        if self._file.closed:
            return
        self._file.close()
        if self._is_new and self.num_bytes == 0:
            self.path.unlink(missing_ok=True)


def open_for(path: str | Path) -> GrowingFile:
    """The growing file at `path`, where `~` is the user's home."""
    if not str(path):
        raise OutputError("Cannot write to an empty path. Give the name of a file.")
    return GrowingFile(Path(path).expanduser())
