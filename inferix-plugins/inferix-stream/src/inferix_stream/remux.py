"""From a fragmented mp4 to an ordinary one."""

from __future__ import annotations

from pathlib import Path

import av
from inferix_core.errors import WriteError


def remux_unfragmented(path: Path) -> None:
    """Rewrites the fragmented mp4 at `path` with one index at its front; nothing is encoded again.

    Raises `WriteError` and leaves the fragmented file as it is if there is no room for the copy.
    """
    copy = path.with_name(f".{path.name}.partial")
    try:
        with (
            av.open(str(path)) as source,
            av.open(str(copy), "w", format="mp4", options={"movflags": "faststart"}) as target,
        ):
            stream = source.streams.video[0]
            copied = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = copied
                    target.mux(packet)
        copy.replace(path)
    except (av.FFmpegError, OSError) as error:
        copy.unlink(missing_ok=True)
        raise WriteError(
            f"'{path}' is complete and can be played, but stays fragmented: rewriting it as an ordinary mp4 failed "
            f"({error}). Free as much space as the file takes, or leave `fragmented = true`."
        ) from error
    except BaseException:  # an interrupt: the fragmented file is still whole
        copy.unlink(missing_ok=True)
        raise
