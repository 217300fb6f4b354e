"""Prompts as Wan's tokenizer wants them; free of torch."""

from __future__ import annotations

import html
import importlib
import re
import unicodedata

_QUOTES = str.maketrans(
    dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_OTHER_FORMS = re.compile("[\ufb00-\ufb04\uff01-\uffef]")  # ligatures; letters of double or half width


def clean_prompt(prompt: str) -> str:
    """The prompt with broken encodings repaired, HTML entities replaced, and each run of white space made one space.

    Without the package ftfy, text that was decoded wrongly stays as it is; other text comes out the same.
    """
    try:
        repaired: str = importlib.import_module("ftfy").fix_text(prompt)
    except ImportError:
        repaired = straightened(prompt)
    # Twice, as the model was trained: '&amp;quot;' is a quotation mark.
    return re.sub(r"\s+", " ", html.unescape(html.unescape(repaired))).strip()


def straightened(text: str) -> str:
    """What ftfy makes of rightly decoded text: straight quotes, plain letter forms, no controls, composed accents."""
    plain = _CONTROLS.sub("", text.translate(_QUOTES))
    return unicodedata.normalize("NFC", _OTHER_FORMS.sub(_ordinary_form, plain))


def _ordinary_form(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found.group())
