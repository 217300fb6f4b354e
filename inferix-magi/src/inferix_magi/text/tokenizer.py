"""Prompts to token ids, from the files of `t5-v1_1-xxl`; free of torch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from inferix_core.errors import CheckpointError, UnsupportedError
from inferix_core.text.base import Tokenizer
from inferix_core.text.tokenizer import FILE, PromptTokenizer, cut_message, read_tokenizer
from loguru import logger

SENTENCES_FILE = "spiece.model"
"""What the package sentencepiece reads; the authors' folder has this one."""

_EXTRA = "inferix-magi[text]"
_SOURCE = f"Give the folder t5-v1_1-xxl of a MAGI-1 download, which holds {SENTENCES_FILE}."


def t5_tokenizer(folder: Path, *, max_tokens: int) -> Tokenizer:
    """The tokenizer in a folder, which cuts prompts after `max_tokens` tokens.

    Raises `CheckpointError` for a folder without `tokenizer.json` or `spiece.model` of this kind, `UnsupportedError` if
    the package that reads it is not installed.
    """
    sentences = folder / SENTENCES_FILE
    if sentences.is_file() and not (folder / FILE).is_file():
        return SentencePieceTokenizer(sentences, max_tokens=max_tokens)
    tokenizer, path = read_tokenizer(folder, source=_SOURCE, extra=_EXTRA)
    return PromptTokenizer(tokenizer, path=path, max_tokens=max_tokens, source=_SOURCE, warn=_warn)


class SentencePieceTokenizer:
    """Implements `Tokenizer` by a model of sentencepiece.

    Raises `CheckpointError` for a file that is none of this kind, `UnsupportedError` if the package is not installed.
    """

    def __init__(self, path: Path, *, max_tokens: int) -> None:
        try:
            self._pieces = _sentencepiece().SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:  # what the package raises for a file that it cannot read
            raise CheckpointError(f"'{path}' is damaged or no tokenizer ({error}). {_SOURCE}") from error
        self._end: int = self._pieces.eos_id()
        if self._end < 0:
            raise CheckpointError(f"'{path}' has no token for the end of a prompt: it is another model's. {_SOURCE}")
        self._max_tokens = max_tokens

    @property
    def vocab_size(self) -> int:
        """See `Tokenizer.vocab_size`."""
        return int(self._pieces.vocab_size())

    def tokenize(self, text: str) -> list[int]:
        """See `Tokenizer.tokenize`."""
        ids: list[int] = self._pieces.encode(text)
        room = self._max_tokens - 1
        if len(ids) > room:
            _warn(cut_message(self._pieces.decode(ids[room:]), max_tokens=self._max_tokens))
        return [*ids[:room], self._end]


def _sentencepiece() -> Any:
    try:
        return importlib.import_module("sentencepiece")
    except ImportError as error:
        raise UnsupportedError(
            f"Prompts need the package sentencepiece to read {SENTENCES_FILE}, and it cannot be imported ({error}). "
            f"Try: pip install '{_EXTRA}'."
        ) from error


def _warn(message: str) -> None:
    logger.warning(message)
