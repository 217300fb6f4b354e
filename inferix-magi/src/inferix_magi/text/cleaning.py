"""Prompts as the captions of MAGI-1's training were cleaned (those of DeepFloyd IF); free of torch."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote_plus

from inferix_core.text.repair import repaired

_DASHES = (
    "-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40"
    "\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d"
)
_SIGNS = r"#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*"
_DOMAIN = r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b\/?(?!@)"
_IMAGE = r"(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)"

_Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*rules: tuple[str, str]) -> _Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_ADDRESSES = _rules(
    (r"<person>", "person"),
    (rf"\b(?:https?:(?:\/{{1,3}}|[a-zA-Z0-9%])|{_DOMAIN})", ""),
    (rf"\b(?:www:(?:\/{{1,3}}|[a-zA-Z0-9%])|{_DOMAIN})", ""),
)
_SIGNS_AND_NUMBERS = _rules(
    (r"@\w+\b", ""),  # nicknames
    ("[\u31c0-\u9fff]+", ""),  # Chinese, and the Katakana of Ainu
    (f"[{_DASHES}]+", "-"),
    ("[`´«»“”¨]", '"'),
    ("[‘’]", "'"),
    (r"&quot;?", ""),
    (r"&amp", ""),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),  # IP addresses
    (r"\d:\d\d\s+$", ""),  # times of articles
    (r"\\n", " "),
    (r"#\d{1,3}\b", ""),
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),
    (rf"\S+\.{_IMAGE}", ""),  # names of files
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (f"[{_SIGNS}]+", " "),
    (r"\s+\.\s+", " "),
)
_ADVERTISEMENTS = _rules(
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),  # numbers of articles, of four kinds
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    (r"(worldwide\s+)?(free\s+)?shipping", ""),
    (r"(free\s)?download(\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b{_IMAGE}(\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),
    ("\\b\\d+\\.?\\d*[x\u0445×]\\d+\\.?\\d*\\b", ""),  # sizes
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
)
_ENDS = _rules(
    (r"^[\"']([\w\W]+)[\"']$", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)
_JOINTS = re.compile("[-_]")
_MOST_JOINTS = 3
"""More hyphens and underscores than these stand for spaces."""


def clean_caption(caption: str) -> str:
    """The caption in lower case without markup, addresses, Chinese, and what advertisements have.

    The rules are applied twice, as in training. Without the package ftfy, text that was decoded wrongly stays as it is.
    """
    return _cleaned(_cleaned(caption))


def _cleaned(caption: str) -> str:
    text = _applied(_ADDRESSES, unquote_plus(caption).strip().lower())
    text = _applied(_SIGNS_AND_NUMBERS, _without_markup(text))
    if len(_JOINTS.findall(text)) > _MOST_JOINTS:
        text = _JOINTS.sub(" ", text)
    text = html.unescape(html.unescape(repaired(text))).strip()
    return _applied(_ENDS, _applied(_ADVERTISEMENTS, text)).strip()


def _applied(rules: _Rules, text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


_CHARACTER_DATA = "cdata["


class _Words(HTMLParser):
    """Collects the text between tags, but for that of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.words.append(data)

    def unknown_decl(self, data: str) -> None:
        if data.lower().startswith(_CHARACTER_DATA):
            self.words.append(data[len(_CHARACTER_DATA) :])


def _without_markup(text: str) -> str:
    parser = _Words()
    parser.feed(text)
    parser.close()
    return "".join(parser.words)
