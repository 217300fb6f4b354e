from __future__ import annotations

import av
import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError, WriteError
from inferix_stream.configuration import ContactSheetConfig
from inferix_stream.contact_sheet import (
    GAP_PIXELS,
    INK,
    LABEL_PIXELS,
    ContactSheetStreamer,
    fit,
    write_contact_sheet,
)
from inferix_stream.digits import time_label
from inferix_stream.frame_choice import FrameChoice


def read_png(path):
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def cell(sheet, *, row, column, height, width):
    top, left = GAP_PIXELS + row * (height + LABEL_PIXELS + GAP_PIXELS), GAP_PIXELS + column * (width + GAP_PIXELS)
    return sheet[top : top + height, left : left + width], sheet[
        top + height : top + height + LABEL_PIXELS, left : left + width
    ]


def numbered(num, *, height=20, width=40):
    return np.arange(num, dtype=np.uint8)[:, None, None, None].repeat(height, 1).repeat(width, 2).repeat(3, 3)


def test_a_run_of_known_length_shows_even_frames_enlarged_each_with_its_time(tmp_path, write_all):
    config = ContactSheetConfig(num_frames_total=49, num_cells=9, num_columns=4, cell_pixels=100)
    write_all(ContactSheetStreamer(config, target=tmp_path / "a.png"), numbered(49))
    sheet = read_png(tmp_path / "a.png")
    height, width = 40, 80
    assert sheet.shape == (
        3 * (height + LABEL_PIXELS + GAP_PIXELS) + GAP_PIXELS,
        4 * (width + GAP_PIXELS) + GAP_PIXELS,
        3,
    )
    labels = []
    for place in range(9):
        picture, label = cell(sheet, row=place // 4, column=place % 4, height=height, width=width)
        assert (picture == 6 * place).all()
        assert (label == INK).any()
        labels.append(label.tobytes())
    assert len(set(labels)) == 9


@pytest.mark.parametrize("num_frames", [1, 5, 24, 49, 50, 51, 500, 5003])
def test_a_run_of_unknown_length_is_thinned_to_evenly_spaced_frames(num_frames):
    choice = FrameChoice(num_cells=24, num_frames_total=None)
    for start in range(0, num_frames, 12):
        choice.offer(np.zeros((min(12, num_frames - start), 1, 1, 3), np.uint8))
        assert len(choice._kept) <= 50
    indices = [index for index, _ in choice.chosen()]
    assert len(indices) == min(24, num_frames)
    assert (indices[0], indices[-1]) == (0, num_frames - 1)
    gaps = np.diff(indices)
    assert num_frames < 48 or gaps.max() <= 2.1 * num_frames / 24


def test_a_chosen_frame_is_not_changed_by_what_the_caller_does_with_its_memory():
    frames = numbered(3)
    choice = FrameChoice(num_cells=3, num_frames_total=3)
    choice.offer(frames)
    frames[:] = 99
    assert [picture[0, 0, 0] for _, picture in choice.chosen()] == [0, 1, 2]


def test_a_run_that_ends_early_shows_what_it_has(tmp_path, write_all):
    config = ContactSheetConfig(num_frames_total=100, num_cells=10, cell_pixels=40)
    write_all(ContactSheetStreamer(config, target=tmp_path / "a.png"), numbered(30))
    assert read_png(tmp_path / "a.png").shape == (
        20 + LABEL_PIXELS + 2 * GAP_PIXELS,
        3 * (40 + GAP_PIXELS) + GAP_PIXELS,
        3,
    )


def test_a_run_without_a_frame_leaves_no_file(tmp_path):
    streamer = ContactSheetStreamer(ContactSheetConfig(), target=tmp_path / "a.png")
    streamer.open(VideoFormat(20, 40, 16.0))
    streamer.close()
    assert not (tmp_path / "a.png").exists()


def test_large_frames_are_shrunk():
    assert fit(numbered(1, height=480, width=832)[0], longest_side=320).shape == (185, 320, 3)


def test_times_from_a_minute_on_name_the_minutes():
    assert [time_label(seconds) for seconds in (0.0, 3.25, 59.96, 65.0, 3600.0)] == [
        "0.0",
        "3.2",
        "1:00.0",
        "1:05.0",
        "60:00.0",
    ]


def test_frames_at_hand_become_a_sheet(tmp_path):
    write_contact_sheet(tmp_path / "a.png", list(numbered(4)), times=[0.0, 0.5, 1.0, 1.5], columns=2, cell_pixels=40)
    sheet = read_png(tmp_path / "a.png")
    assert [int(cell(sheet, row=r, column=c, height=20, width=40)[0].mean()) for r in (0, 1) for c in (0, 1)] == [
        0,
        1,
        2,
        3,
    ]


def test_no_frames_at_hand_is_an_error_that_leaves_no_file(tmp_path):
    with pytest.raises(OutputError, match="there is no frame"):
        write_contact_sheet(tmp_path / "a.png", [], times=[])
    assert not (tmp_path / "a.png").exists()


def test_a_full_disk_is_an_error_that_leaves_no_file(tmp_path, full_disk):
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    with full_disk(1000), pytest.raises(WriteError, match="Writing the contact sheet"):
        write_contact_sheet(tmp_path / "a.png", list(noise), times=[0, 1, 2, 3], cell_pixels=32)
    assert not (tmp_path / "a.png").exists()
