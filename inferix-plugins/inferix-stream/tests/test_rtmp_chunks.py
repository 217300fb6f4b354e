from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferix_stream.rtmp_chunks import LARGEST_MESSAGE, ChunkReader, Message, chunked

messages = st.builds(
    Message,
    type=st.integers(1, 22),
    body=st.binary(max_size=900),
    stream=st.integers(0, 5),
    milliseconds=st.integers(0, 2**32 - 1),
)


def read(data: bytes, *, chunk_size: int, piece: int) -> list[Message]:
    reader, found = ChunkReader(), []
    reader.chunk_size = chunk_size
    for start in range(0, len(data), piece):
        reader.feed(data[start : start + piece])
        while (message := reader.next_message()) is not None:
            found.append(message)
    return found


@given(
    st.lists(st.tuples(messages, st.integers(2, 9)), max_size=8), st.sampled_from([1, 128, 4096]), st.integers(1, 70)
)
def test_messages_come_out_as_they_went_in_wherever_the_bytes_are_cut(given_messages, chunk_size, piece):
    data = b"".join(chunked(message, channel=channel, chunk_size=chunk_size) for message, channel in given_messages)
    assert read(data, chunk_size=chunk_size, piece=piece) == [message for message, _ in given_messages]


def test_short_headers_go_on_from_the_long_ones():
    first = chunked(Message(9, b"abcd", 1, 1000), channel=6, chunk_size=128)
    second = bytes([0x40 | 6]) + (40).to_bytes(3) + (2).to_bytes(3) + b"\x08" + b"xy"  # another type and size
    third = bytes([0x80 | 6]) + (5).to_bytes(3) + b"zw"  # only a time
    assert read(first + second + third, chunk_size=128, piece=3) == [
        Message(9, b"abcd", 1, 1000),
        Message(8, b"xy", 1, 1040),
        Message(8, b"zw", 1, 1045),
    ]


@pytest.mark.parametrize(("form", "number"), [(b"\x00\x05", 69), (b"\x01\x05\x01", 325)])
def test_channels_beyond_63_have_longer_headers(form, number):
    data = form + bytes(3) + (1).to_bytes(3) + b"\x14" + bytes(4) + b"!"
    assert read(data, chunk_size=128, piece=1) == [Message(20, b"!")], number


def test_a_message_of_absurd_size_is_refused_before_it_is_waited_for():
    reader = ChunkReader()
    reader.feed(b"\x03" + bytes(3) + (LARGEST_MESSAGE + 1).to_bytes(3) + b"\x14" + bytes(4))
    with pytest.raises(ValueError, match="announced"):
        reader.next_message()
