"""Prompts to token ids, from the files of `google/umt5-xxl`; free of torch."""

from __future__ import annotations

import importlib
import textwrap
from pathlib import Path
from typing import Any

from inferix_core.errors import CheckpointError, UnsupportedError
from loguru import logger

END = "</s>"
"""The token that ends every prompt."""

_FILE = "tokenizer.json"
_MAX_SHOWN = 500


class Umt5Tokenizer:
    """The tokenizer in a local folder, which cuts prompts after `max_tokens` tokens.

    Raises `CheckpointError` for a folder without a `tokenizer.json` of this kind, `UnsupportedError` if the package
    tokenizers is not installed.
    """

    def __init__(self, folder: str | Path, *, max_tokens: int = 512) -> None:
        path = Path(folder) / _FILE
        if not path.is_file():
            raise CheckpointError(f"The tokenizer '{folder}' {_lack(Path(folder))}. {_SOURCE}")
        try:
            self._tokenizer = _tokenizers().Tokenizer.from_file(str(path))
        except UnsupportedError:
            raise
        except Exception as error:  # the package raises nothing narrower
            raise CheckpointError(f"'{path}' is damaged or no tokenizer ({error}). {_SOURCE}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=max_tokens)
        if self._tokenizer.encode("").ids != [self._tokenizer.token_to_id(END)]:
            raise CheckpointError(
                f"'{path}' does not end prompts with '{END}', as that of UMT5 does: it is another model's. {_SOURCE}"
            )
        self._max_tokens = max_tokens

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
            _warn_of_cut(text[end:].strip(), max_tokens=self._max_tokens)
        ids: list[int] = encoding.ids
        return ids


def _warn_of_cut(rest: str, *, max_tokens: int) -> None:
    shown = textwrap.shorten(rest, _MAX_SHOWN, placeholder=" …")
    logger.warning(
        f"The prompt is longer than {max_tokens} tokens: its last {len(rest.split())} words were cut and have no "
        f"effect: '{shown}'"
    )


def _lack(folder: Path) -> str:
    if not folder.is_dir():
        return "is not a folder"
    names = sorted(path.name for path in folder.iterdir())
    return f"has no {_FILE}, but {', '.join(names[:8]) or 'nothing'}"


_SOURCE = f"Give the folder google/umt5-xxl of a Wan 2.1 download, which holds {_FILE}."


def _tokenizers() -> Any:
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise UnsupportedError(
            f"Prompts need the package tokenizers, which cannot be imported ({error}). "
            "Try: pip install 'inferix-wan[text]'."
        ) from error
