from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferix_stream.amf0 import decoded, encoded

texts = st.text(st.characters(codec="utf-8"), max_size=20)
plain = st.none() | st.booleans() | texts | st.floats(allow_nan=False)
values = st.recursive(plain, lambda inner: st.dictionaries(texts.filter(bool), inner, max_size=4), max_leaves=12)


@given(st.lists(values, max_size=6))
def test_what_is_encoded_is_decoded_again(given_values: list[object]):
    assert decoded(encoded(*given_values)) == given_values


def test_a_command_has_the_bytes_of_the_specification():
    assert encoded("connect", 1, {"app": "live"}, None) == (
        b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\x03\x00\x03app\x02\x00\x04live\x00\x00\x09\x05"
    )


@given(st.binary(max_size=60))
def test_damaged_data_is_a_value_error(data: bytes):
    try:
        decoded(data)
    except ValueError:
        return


@pytest.mark.parametrize("data", [b"\x00\x01", b"\x02\x00\x09abc", b"\x03\x00\x01a", b"\x0b\x00"])
def test_what_ends_too_soon_or_is_unknown_is_said(data: bytes):
    with pytest.raises(ValueError, match="AMF0"):
        decoded(data)
