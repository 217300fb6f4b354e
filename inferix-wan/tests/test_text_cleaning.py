"""Prompts are cleaned as the original's tokenizer does it, with ftfy and without."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferix_core.text.repair import straightened
from inferix_wan.text.cleaning import clean_prompt

ORDINARY = "abcxyzéñßøçAZ09 ,.;:!?-_()/'\"‘’‚“”„\n\t中文色调，。！（１２）日本語ｶﾀｶﾅДаﬁﬂ\u3000\u00a0…—🙂<>"


@pytest.fixture
def without_ftfy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)


@pytest.mark.parametrize(
    ("prompt", "cleaned"),
    [
        ("", ""),
        (" \n\t ", ""),
        ("  a\u00a0red \r\n\n ball\t", "a red ball"),
        ("salt &amp;amp; pepper &lt;3", "salt & pepper <3"),
        ("“a” ‘b’", "\"a\" 'b'"),
        ("色调艳丽，过曝", "色调艳丽,过曝"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\x00b", "ab"),
    ],
)
def test_a_prompt_loses_entities_and_odd_spaces(prompt: str, cleaned: str) -> None:
    pytest.importorskip("ftfy")
    assert clean_prompt(prompt) == cleaned


@pytest.mark.parametrize("prompt", ["  a\u00a0red \n ball", "&amp;amp;", "“a” ‘b’，ﬁ", "cafe\u0301\x00", ""])
@pytest.mark.usefixtures("without_ftfy")
def test_without_ftfy_a_prompt_is_cleaned_all_the_same(prompt: str) -> None:
    expected = {"  a\u00a0red \n ball": "a red ball", "&amp;amp;": "&", "“a” ‘b’，ﬁ": "\"a\" 'b',fi", "": ""}
    assert clean_prompt(prompt) == expected.get(prompt, "café")


def test_text_that_was_decoded_wrongly_is_repaired_with_ftfy() -> None:
    pytest.importorskip("ftfy")
    assert clean_prompt("a schÃ¶n cafÃ©") == "a schön café"


@given(st.text(ORDINARY, max_size=60))
def test_ordinary_text_is_straightened_as_ftfy_does_it(text: str) -> None:
    ftfy = pytest.importorskip("ftfy")
    assert " ".join(straightened(text).split()) == " ".join(ftfy.fix_text(text).split())
