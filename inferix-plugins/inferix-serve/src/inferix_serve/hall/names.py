"""Names of worlds, saves, videos and pictures: random ids that nobody guesses and that are safe in a path."""

from __future__ import annotations

import re
import secrets

PATTERN = r"^[0-9a-f]{20}$"
_NAME = re.compile(r"[0-9a-f]{20}")


def new_name() -> str:
    """A name that is not in use: 80 random bits."""
    return secrets.token_hex(10)


def is_name(text: str) -> bool:
    """Whether a text from outside can be one of our names at all; anything else never comes near a path."""
    return _NAME.fullmatch(text) is not None
