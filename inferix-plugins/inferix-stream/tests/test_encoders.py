from __future__ import annotations

import av
import numpy as np
import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_core.errors import OutputError
from inferix_stream.encoders import EncoderSettings, LiveEncoder, default_bitrate, encoder_name, has_encoder

DECODERS = {"h264": "h264", "vp8": "vp8", "mjpeg": "mjpeg"}


def encode(codec, frames, *, fps=16.0, settings=None, keyframes=()):
    video = VideoFormat(frames.shape[1], frames.shape[2], fps)
    encoder = LiveEncoder(codec, video, settings or EncoderSettings(keyframe_seconds=60, bitrate=2_000_000))
    return [
        encoder.encode(frame, media_seconds=index / fps, force_keyframe=index in keyframes)
        for index, frame in enumerate(frames)
    ]


def decode(codec, packets):
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(bytes(packet)))]
    return [frame.to_ndarray(format="rgb24") for frame in [*frames, *decoder.decode(None)]]


@pytest.mark.parametrize("codec", DECODERS)
def test_every_frame_comes_out_at_once_and_in_order(codec, painted, number_in):
    packets = encode(codec, painted(range(40)))
    assert [len(parts) for parts in packets] == [1] * 40
    assert [number_in(picture) for picture in decode(codec, [parts[0] for parts in packets])] == list(range(40))


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_keyframes_come_when_they_are_asked_for_and_a_decoder_can_begin_there(codec, painted, number_in):
    packets = [parts[0] for parts in encode(codec, painted(range(30)), keyframes=(7, 20))]
    assert [index for index, packet in enumerate(packets) if packet.is_keyframe] == [0, 7, 20]
    assert [number_in(picture) for picture in decode(codec, packets[20:])] == list(range(20, 30))


@pytest.mark.parametrize("codec", DECODERS)
def test_odd_sizes_are_rounded_up_by_repeating_the_edge(codec, painted):
    frames = painted(range(3), height=97, width=161)
    frames[:, -1] = frames[:, :, -1] = (200, 200, 200)
    (last,) = decode(codec, [parts[0] for parts in encode(codec, frames)])[-1:]
    assert last.shape == (98, 162, 3)
    assert np.abs(last[-1, :150].astype(int) - 200).mean() < 25
    assert np.abs(last[:90, -1].astype(int) - 200).mean() < 25


@pytest.mark.parametrize("codec", DECODERS)
def test_times_are_those_of_the_clock_and_only_grow(codec, painted):
    frames = painted(range(4))
    encoder = LiveEncoder(codec, VideoFormat(96, 160, 16.0), EncoderSettings())
    times = [
        encoder.encode(frame, media_seconds=seconds)[0].pts
        for frame, seconds in zip(frames, (0.0, 0.5, 0.5, 3.0), strict=True)
    ]
    assert times == [0, 45_000, 45_001, 270_000]


def test_an_encoder_whose_device_is_missing_is_not_chosen():
    chosen = encoder_name("h264", EncoderSettings())
    assert chosen == ("h264_nvenc" if has_encoder("h264_nvenc") else "libx264")
    assert has_encoder("libx264")
    assert not has_encoder("h264_no_such_encoder")


@pytest.mark.skipif(has_encoder("h264_nvenc"), reason="this machine has the encoder")
def test_an_encoder_that_was_asked_for_by_name_and_cannot_be_opened_is_an_error():
    with pytest.raises(OutputError, match="h264_nvenc refuses 160×96 pixels"):
        LiveEncoder("h264", VideoFormat(96, 160, 16.0), EncoderSettings(h264="h264_nvenc"))


@pytest.mark.skipif(not has_encoder("h264_nvenc"), reason="h264_nvenc cannot be opened on this machine")
def test_the_hardware_encoder_makes_what_a_decoder_reads(painted, number_in):
    packets = encode("h264", painted(range(40), height=192, width=320), settings=EncoderSettings(h264="h264_nvenc"))
    assert len(decode("h264", [parts[0] for parts in packets if parts])) == 40


def test_a_higher_bitrate_and_a_higher_quality_make_more_bytes():
    noise = np.random.default_rng(0).integers(0, 256, (24, 96, 160, 3), np.uint8)

    def num_bytes(codec, **settings):
        return sum(len(bytes(parts[0])) for parts in encode(codec, noise, settings=EncoderSettings(**settings)))

    for codec in ("h264", "vp8"):
        assert num_bytes(codec, bitrate=3_000_000) > 1.5 * num_bytes(codec, bitrate=300_000)
    assert num_bytes("mjpeg", jpeg_quality=95) > 1.5 * num_bytes("mjpeg", jpeg_quality=30)
    assert default_bitrate(VideoFormat(480, 832, 16.0)) > default_bitrate(VideoFormat(128, 128, 16.0))
