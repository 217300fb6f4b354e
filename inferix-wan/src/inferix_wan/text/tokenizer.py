"""Prompts to token ids, from the files of `google/umt5-xxl`; free of torch."""

from __future__ import annotations

from pathlib import Path

from inferix_core.text.tokenizer import PromptTokenizer, read_tokenizer
from loguru import logger

_SOURCE = "Give the folder google/umt5-xxl of a Wan 2.1 download, which holds tokenizer.json."


class Umt5Tokenizer(PromptTokenizer):
    """The tokenizer in a local folder, which cuts prompts after `max_tokens` tokens.

    Raises `CheckpointError` for a folder without a `tokenizer.json` of this kind, `UnsupportedError` if the package
    tokenizers is not installed.
    """

    def __init__(self, folder: str | Path, *, max_tokens: int = 512) -> None:
        tokenizer, path = read_tokenizer(Path(folder), source=_SOURCE, extra="inferix-wan[text]")
        super().__init__(tokenizer, path=path, max_tokens=max_tokens, source=_SOURCE, warn=_warn)


def _warn(message: str) -> None:
    logger.warning(message)
