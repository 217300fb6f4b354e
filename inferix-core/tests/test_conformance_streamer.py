"""Every rule of the streamer suite is broken by one streamer that keeps all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.defaults.npy import NpyStreamer
from inferix_core.errors import OutputError
from inferix_core.events import Block
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import StreamerSuite, broken_rules, rules_of
from inferix_core.testing.toy_streamer import ToyStreamer
from numpy.typing import NDArray


class LosesTheThird(ToyStreamer):
    def write(self, block: Block) -> None:
        if block.index != 2:
            super().write(block)


class ClosesOnce(ToyStreamer):
    def close(self) -> None:
        assert not self.is_closed
        super().close()


class NeedsToBeOpened(ToyStreamer):
    def close(self) -> None:
        assert self.video is not None
        super().close()


class LeavesAnEmptyFile(ToyStreamer):
    def close(self) -> None:
        super().close()
        if self.video is not None and self._target is not None:
            self._target.touch()


class MakesFolders(ToyStreamer):
    def open(self, video: VideoFormat) -> None:
        if self._target is not None:
            self._target.parent.mkdir(exist_ok=True)
        super().open(video)


class IgnoresWhatComesEarly(ToyStreamer):
    def write(self, block: Block) -> None:
        if self.video is not None:
            super().write(block)


class IgnoresWhatComesLate(ToyStreamer):
    def write(self, block: Block) -> None:
        if not self.is_closed:
            super().write(block)


class SkipsOtherSizes(ToyStreamer):
    def write(self, block: Block) -> None:
        try:
            super().write(block)
        except OutputError:
            if self.video is None or self.is_closed:
                raise


class GivesUp(ToyStreamer):
    def write(self, block: Block) -> None:
        try:
            super().write(block)
        except OutputError:
            self.parts.clear()
            raise


class SpoilsFrames(ToyStreamer):
    def write(self, block: Block) -> None:
        super().write(block)
        block.frames.zero_()


BROKEN: dict[str, type[ToyStreamer]] = {
    "test_what_was_written_is_read_again": LosesTheThird,
    "test_closing_twice_is_closing_once": ClosesOnce,
    "test_a_streamer_that_was_never_opened_can_be_closed": NeedsToBeOpened,
    "test_a_run_without_frames_leaves_nothing": LeavesAnEmptyFile,
    "test_opening_finds_out_that_the_target_cannot_be_written": MakesFolders,
    "test_nothing_is_written_before_opening": IgnoresWhatComesEarly,
    "test_nothing_is_written_after_closing": IgnoresWhatComesLate,
    "test_frames_of_another_size_are_refused": SkipsOtherSizes,
    "test_what_was_written_before_a_refused_block_stays": GivesUp,
    "test_the_frames_of_a_block_stay_as_they_are": SpoilsFrames,
}


class TestToyStreamer(StreamerSuite):
    name = "video.npy"

    def streamer(self, target: Path) -> ToyStreamer:
        return ToyStreamer(target)

    def read(self, target: Path) -> NDArray[np.uint8]:
        frames: NDArray[np.uint8] = np.load(target)
        return frames


class TestNpyStreamer(StreamerSuite):
    name = "video.npy"

    def streamer(self, target: Path) -> NpyStreamer:
        return NpyStreamer(ComponentConfig(), target=str(target))

    def read(self, target: Path) -> NDArray[np.uint8]:
        frames: NDArray[np.uint8] = np.load(target)
        return frames


@pytest.mark.parametrize("name", rules_of(StreamerSuite))
def test_the_streamer_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    class Cases(TestToyStreamer):
        def streamer(self, target: Path) -> ToyStreamer:
            return BROKEN[name](target)

    assert broken_rules(Cases(), tmp_path) == [name]
