"""Text with broken encodings repaired; free of torch."""

from __future__ import annotations

import importlib
import re
import unicodedata

_QUOTES = str.maketrans(
    dict.fromkeys("\u02bc\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_OTHER_FORMS = re.compile("[\ufb00-\ufb04\uff01-\uffef]")  # ligatures; letters of double or half width


def repaired(text: str) -> str:
    """What the package ftfy makes of a text.

    Where it is not installed, text that was decoded wrongly stays as it is; other text comes out the same.
    """
    try:
        fixed: str = importlib.import_module("ftfy").fix_text(text)
    except ImportError:
        return straightened(text)
    return fixed


def straightened(text: str) -> str:
    """What ftfy makes of rightly decoded text: straight quotes, plain letter forms, no controls, composed accents."""
    plain = _CONTROLS.sub("", text.translate(_QUOTES))
    return unicodedata.normalize("NFC", _OTHER_FORMS.sub(_ordinary_form, plain))


def _ordinary_form(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found.group())
