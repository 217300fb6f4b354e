"""The learned tokens beside captions, from the file that the authors publish."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inferix_core.errors import CheckpointError, ConfigError
from torch import Tensor

from inferix_magi.captions import SpecialTokens
from inferix_magi.text.config import MagiTextConfig, SpecialToken

_TRANSITION = ("other_tokens", 0)
_BORDERS = ("other_tokens", 4)
_LOGO = ("logo_token", 0)
_CAPTION = ("caption_token", 0)
_DURATIONS = tuple(("other_tokens", row) for row in range(7, 15))

_LEADING: Mapping[SpecialToken, tuple[str, int]] = {
    "2d-anime": ("other_tokens", 16),
    "3d-model": ("other_tokens", 15),
    "high-quality": ("other_tokens", 1),
    "borders": _BORDERS,
    "moving-start": ("other_tokens", 3),
    "static-start": ("other_tokens", 2),
}
"""Array and row of each token that may stand before a caption, in the order in which they stand there."""

_NEGATIVE = (_BORDERS, _TRANSITION, _LOGO, _CAPTION)


def load_special_tokens(config: MagiTextConfig) -> SpecialTokens | None:
    """The tokens that the configuration asks for; None if it asks for none.

    Raises `ConfigError` where it asks for some and names no file, `CheckpointError` for a file that is none of theirs.
    """
    if not (config.tokens or config.duration or config.negative_tokens):
        return None
    if config.special_tokens is None:
        raise ConfigError(
            "model.text: learned tokens are asked for, but no file of them is given. Set model.text.special_tokens to "
            "special_tokens.npz, which is in example/assets of the repository SandAI-org/MAGI-1, or do without: "
            "model.text.tokens = [], model.text.duration = false."
        )
    arrays = _arrays(Path(config.special_tokens))
    leading = [place for name, place in _LEADING.items() if name in config.tokens]
    return SpecialTokens(
        leading=_rows(arrays, leading),
        durations=_rows(arrays, _DURATIONS if config.duration else ()),
        negative=_rows(arrays, _NEGATIVE if config.negative_tokens else ()),
    )


def _rows(arrays: Mapping[str, Tensor], places: Any) -> Tensor:
    rows = [arrays[name][row] for name, row in places]
    return torch.stack(rows) if rows else arrays["other_tokens"][:0]


def _arrays(path: Path) -> dict[str, Tensor]:
    """The arrays [rows, text_dim], in the half precision that the original turns them into."""
    if not path.is_file():
        raise CheckpointError(f"The file of special tokens '{path}' does not exist. Give special_tokens.npz.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]).half() for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"'{path}' is damaged or no file of arrays ({error}): copy it again.") from error
    needed = {"caption_token": 1, "logo_token": 1, "other_tokens": 17}
    lacking = [name for name, rows in needed.items() if name not in arrays or len(arrays[name]) < rows]
    if lacking:
        raise CheckpointError(
            f"'{path}' lacks rows of {', '.join(lacking)}; it holds {', '.join(sorted(arrays)) or 'nothing'}. Give "
            "special_tokens.npz of the repository SandAI-org/MAGI-1."
        )
    return arrays
