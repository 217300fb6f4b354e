"""Videos that are made beside the live worlds: one at a time, a block whenever no live world needs one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.errors import ConfigError, InferixError, OutputError
from inferix_core.signals import Signal, TimedSignal
from loguru import logger

from inferix_serve.hall.names import is_name, new_name
from inferix_serve.problems import RefusedError, not_found, too_many

if TYPE_CHECKING:
    from inferix_core import Block, Engine

    from inferix_serve.settings import Limits

WAITING, MAKING, DONE, FAILED = "waiting", "making", "done", "failed"


@dataclass(slots=True)
class Video:
    """A video that was asked for, as plain data."""

    name: str
    prompt: str
    seconds: float
    seed: int
    signals: tuple[tuple[float, str | None, str | None], ...] = ()
    created: float = field(default_factory=time.time)
    state: str = WAITING
    progress: float = 0.0
    error: str | None = None

    def view(self) -> dict[str, Any]:
        """For viewers."""
        shown = asdict(self)
        shown["id"] = shown.pop("name")
        shown["signals"] = [{"seconds": at, "prompt": told, "action": act} for at, told, act in self.signals]
        return shown


class VideoDesk:
    """Takes orders and fulfils them in their order. Everything but `views` and `path` is for the engine's thread."""

    def __init__(self, engine: Engine, folder: Path, limits: Limits) -> None:
        """Finds the videos of earlier runs again. Raises `OutputError` where the folder cannot be made."""
        self._engine = engine
        self._folder = folder
        self._limits = limits
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder '{folder}' for videos cannot be made: {error.strerror}.") from error
        found = [video for video in map(_read, folder.glob("*.json")) if video is not None]
        self._videos = {video.name: video for video in sorted(found, key=lambda video: video.created)}
        self._making: tuple[Video, Iterator[float]] | None = None

    @property
    def num_waiting(self) -> int:
        """How many videos are not finished."""
        return sum(video.state in (WAITING, MAKING) for video in list(self._videos.values()))

    def order(self, video: Video) -> Video:
        """Takes an order. Raises `RefusedError` where too many wait, `SignalError` for what makes no sense."""
        if self.num_waiting >= self._limits.max_waiting_videos:
            limit = self._limits.max_waiting_videos
            raise too_many("too_many_videos", f"{limit} videos wait already. Ask again when one is done.", limit)
        fps = self._engine.geometry.fps
        if round(video.seconds * fps) < 1:
            raise ConfigError(f"{video.seconds:g} s at {fps:g} frames/s are no frame. Ask for at least {1 / fps:g} s.")
        for timed in _timed(video):
            self._engine.check_signal(timed.signal)
        self._engine.check_signal(Signal(prompt=video.prompt))
        self._videos[video.name] = video
        finished = [one for one in self._videos.values() if one.state in (DONE, FAILED)]
        for old in finished[: max(0, len(finished) - self._limits.max_kept_videos + 1)]:
            self.remove(old.name)
        return video

    def views(self) -> list[dict[str, Any]]:
        """All videos, the newest first."""
        return [video.view() for video in reversed(list(self._videos.values()))]

    def find(self, name: str) -> Video:
        """One video. Raises `RefusedError` (404)."""
        if name not in self._videos:
            raise not_found("video", name)
        return self._videos[name]

    def path(self, name: str) -> Path:
        """The finished file. Raises `RefusedError`: 404 for none, 409 for one that is not finished."""
        video = self.find(name)
        if video.state != DONE:
            raise RefusedError(409, "not_finished", f"The video is {video.state}. Ask again when its state is done.")
        return self._file(name)

    def remove(self, name: str) -> None:
        """Deletes a video, or gives up making it. Raises `RefusedError` (404)."""
        self.find(name)
        if self._making is not None and self._making[0].name == name:
            self._give_up()
        del self._videos[name]
        for path in (self._file(name), self._folder / f"{name}.json"):
            path.unlink(missing_ok=True)

    def work(self) -> bool:
        """Makes one block of the video whose turn it is; whether there was one."""
        if self._making is None:
            waiting = next((one for one in self._videos.values() if one.state == WAITING), None)
            if waiting is None:
                return False
            waiting.state = MAKING
            self._making = waiting, self._blocks(waiting)
        video, blocks = self._making
        try:
            video.progress = next(blocks)
        except StopIteration:
            self._finish(video, DONE)
        except InferixError as error:
            self._finish(video, FAILED, str(error))
        except Exception as error:  # a fault of a plugin costs this video, and nobody else's world
            logger.exception("A video failed")
            self._finish(video, FAILED, f"{type(error).__name__}: {error}")
        return True

    def close(self) -> None:
        """Gives up the video that is being made."""
        if self._making is not None:
            video = self._making[0]
            self._give_up()
            self._finish(video, FAILED, "The server was closed.")

    def _blocks(self, video: Video) -> Iterator[float]:
        """Makes the video block by block, yielding how much of it is there."""
        engine, total = self._engine, round(video.seconds * self._engine.geometry.fps)
        part, num_frames = self._folder / f"{video.name}.part.mp4", 0
        try:
            with engine.create_world(video.prompt, seed=video.seed) as world:
                output = engine.open_output(part)
                try:
                    for block in world.run(num_frames=total, signals=_timed(video)):
                        num_frames += _written(output, block)
                        yield num_frames / total
                finally:
                    output.close()
            part.replace(self._file(video.name))
        finally:
            part.unlink(missing_ok=True)

    def _give_up(self) -> None:
        if self._making is not None:
            _, blocks = self._making
            self._making = None
            blocks.close()  # type: ignore[attr-defined]  # a generator, as `_blocks` makes it

    def _finish(self, video: Video, state: str, error: str | None = None) -> None:
        video.state, video.error, self._making = state, error, None
        note = self._folder / f"{video.name}.json"
        try:
            note.write_text(json.dumps(asdict(video)), encoding="utf-8")
        except OSError as failure:
            logger.warning(f"The note of a video cannot be written, so it will be lost: {failure}")

    def _file(self, name: str) -> Path:
        if not is_name(name):
            raise not_found("video", name)
        return self._folder / f"{name}.mp4"


def new_video(
    prompt: str, seconds: float, seed: int, signals: tuple[tuple[float, str | None, str | None], ...]
) -> Video:
    """An order with a name of its own."""
    return Video(new_name(), prompt, seconds, seed, signals)


def _written(output: Any, block: Block) -> int:
    output.write(block)
    return len(block.frames)


def _timed(video: Video) -> list[TimedSignal]:
    return [TimedSignal(at, Signal(prompt=prompt, action=action)) for at, prompt, action in video.signals]


def _read(path: Path) -> Video | None:
    """A video of an earlier run; None for a note that is damaged or whose file is gone."""
    try:
        raw = json.loads(path.read_bytes())
        video = Video(**{**raw, "signals": tuple(tuple(one) for one in raw["signals"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_whole = video.state == FAILED or path.with_suffix(".mp4").exists()
    return video if is_name(video.name) and video.name == path.stem and is_whole else None
