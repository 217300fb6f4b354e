"""Prompts to token ids, by a tokenizer of the T5 kind; free of torch."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inferix_core.errors import CheckpointError, UnsupportedError

END = "</s>"
"""The token that ends every prompt."""

FILE = "tokenizer.json"
"""What the package tokenizers reads."""

_MAX_SHOWN = 500


class PromptTokenizer:
    """Implements `Tokenizer`. Cuts prompts after `max_tokens` tokens, and warns of it.

    `tokenizer` is one of the package tokenizers, from the file `path`; `warn` is told what was cut, so that it is in
    the log under the name of the model's package.

    Raises `CheckpointError`, with `source` as where to have the right one from, for a tokenizer that does not end
    prompts as those of T5 do.
    """

    def __init__(
        self, tokenizer: Any, *, path: Path, max_tokens: int, source: str, warn: Callable[[str], None]
    ) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_tokens)
        if self._tokenizer.encode("").ids != [self._tokenizer.token_to_id(END)]:
            raise CheckpointError(f"'{path}' does not end prompts with '{END}': it is another model's. {source}")
        self._max_tokens = max_tokens
        self._warn = warn

    @property
    def vocab_size(self) -> int:
        """One more than the largest id, added tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def tokenize(self, text: str) -> list[int]:
        """The ids of a cleaned prompt, `END` the last; no text is `END` alone.

        Text past the limit is left out, with a warning that quotes it.
        """
        encoding = self._tokenizer.encode(text)
        if encoding.overflowing:
            spans = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
            end = max((stop for (_, stop), is_special in spans if not is_special), default=0)
            self._warn(cut_message(text[end:].strip(), max_tokens=self._max_tokens))
        ids: list[int] = encoding.ids
        return ids


def read_tokenizer(folder: Path, *, source: str, extra: str) -> tuple[Any, Path]:
    """The tokenizer in a folder's `tokenizer.json`, and that file.

    Raises `CheckpointError` for a folder without a good one, with `source` as where to have it from, and
    `UnsupportedError`, with the `extra` to install, if the package tokenizers is not installed.
    """
    path = folder / FILE
    if not path.is_file():
        raise CheckpointError(f"The tokenizer '{folder}' {lack(folder)}. {source}")
    package = _tokenizers(extra)
    try:
        return package.Tokenizer.from_file(str(path)), path
    except Exception as error:  # the package raises nothing narrower
        raise CheckpointError(f"'{path}' is damaged or no tokenizer ({error}). {source}") from error


def lack(folder: Path) -> str:
    """What a folder without a tokenizer is or holds, to go on after its name."""
    if not folder.is_dir():
        return "is not a folder"
    names = sorted(path.name for path in folder.iterdir())
    return f"has no {FILE}, but {', '.join(names[:8]) or 'nothing'}"


def cut_message(rest: str, *, max_tokens: int) -> str:
    """What to warn of where the `rest` of a prompt was left out."""
    shown = textwrap.shorten(rest, _MAX_SHOWN, placeholder=" …")
    return (
        f"The prompt is longer than {max_tokens} tokens: its last {len(rest.split())} words were cut and have no "
        f"effect: '{shown}'"
    )


def _tokenizers(extra: str) -> Any:
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise UnsupportedError(
            f"Prompts need the package tokenizers, which cannot be imported ({error}). Try: pip install '{extra}'."
        ) from error
