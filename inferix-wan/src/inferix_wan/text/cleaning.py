"""Prompts as Wan's tokenizer wants them; free of torch."""

from __future__ import annotations

import html
import re

from inferix_core.text.repair import repaired


def clean_prompt(prompt: str) -> str:
    """The prompt with broken encodings repaired, HTML entities replaced, and each run of white space made one space.

    Without the package ftfy, text that was decoded wrongly stays as it is; other text comes out the same.
    """
    # Twice, as the model was trained: '&amp;quot;' is a quotation mark.
    return re.sub(r"\s+", " ", html.unescape(html.unescape(repaired(prompt)))).strip()
