"""What kind of target a path or address is, in the terms in which streamers declare what they write to."""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = "folder"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_address(target: str) -> bool:
    """Whether it is an address such as rtmp://host/live/world rather than a path."""
    return _SCHEME.match(target) is not None


def target_kind(target: str) -> str:
    """A suffix such as ".mp4", a URL scheme such as "rtmp", or "folder"; lower case.

    A path without a suffix, one that ends in a separator, and a folder that exists are folders.
    """
    if match := _SCHEME.match(target):
        return match.group(1).lower()
    if target.endswith(("/", os.sep)) or Path(target).is_dir():
        return FOLDER
    return Path(target).suffix.lower() or FOLDER
