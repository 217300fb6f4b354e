"""What is done to the arguments before typer sees them."""

from __future__ import annotations

from collections.abc import Sequence

_TIMED_OPTIONS = ("--prompt-at", "--action-at")


def disabled_plugins(arguments: Sequence[str]) -> list[str]:
    """The names given with `--without` before the command."""
    names: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--without":
            names += [name for name in [next(remaining, None)] if name is not None]
        elif argument.startswith("--without="):
            names.append(argument.partition("=")[2])
        elif not argument.startswith("-"):
            break
    return names


def joined_times(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--prompt-at 4s "text"` made into `--prompt-at "4s text"`, so that both can be written.

    A value without a space is always half of such a pair, be it a time or a mistake that is to be named.
    """
    joined: list[str] = []
    position = 0
    while position < len(arguments):
        if arguments[position] == "--":
            return joined + list(arguments[position:])
        option, *values = arguments[position : position + 3]
        if option in _TIMED_OPTIONS and len(values) == 2 and " " not in values[0] and not values[1].startswith("-"):
            joined += [option, " ".join(values)]
            position += 3
        else:
            joined.append(option)
            position += 1
    return joined
