"""Times and timed texts as the command line spells them."""

from __future__ import annotations

import math
import re

from inferix_core.errors import ConfigError

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TIME = re.compile(rf"(?:(?P<minutes>\d+)m)?(?:(?P<seconds>{_NUMBER})s?)?")
_ACCEPTED = "Write seconds or minutes and seconds: 4s, 4.5, 1m2s"


def is_time(text: str) -> bool:
    """Whether the text is a time."""
    match = _TIME.fullmatch(text)
    return match is not None and any(match.groups())


def seconds_of(text: str) -> float:
    """The seconds that `4s`, `4.5` or `1m2s` mean. Raises `ConfigError` for anything else."""
    match = _TIME.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ConfigError(f"'{text}' is not a time. {_ACCEPTED}.")
    return 60.0 * int(match["minutes"] or 0) + float(match["seconds"] or 0)


def timed_text(text: str, option: str) -> tuple[float, str]:
    """The seconds and the text of `"4s a red ball"`. Raises `ConfigError` that names the option."""
    time, _, rest = text.strip().partition(" ")
    if not is_time(time) or not rest.strip():
        raise ConfigError(f'{option} "{text}" needs a time and a text, e.g. {option} "4s …". {_ACCEPTED}.')
    return seconds_of(time), rest.strip()


def checked_duration(seconds: float) -> float:
    """The duration itself. Raises `ConfigError` unless it is finite and above zero."""
    if not math.isfinite(seconds) or seconds <= 0:
        raise ConfigError(f"--seconds must be above 0 and finite, found {seconds:g}. Try --seconds 5.")
    return seconds
