"""Runners of the golden cases of MAGI-1's text: T5, the cleaning of captions, and the learned tokens beside them.

`CASES` and `TABLES` are lists of (pattern, runner).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inferix_core.contracts.model import Condition, PassInput
from inferix_core.errors import UnsupportedError
from inferix_magi.captions import CAPTION, Captions
from inferix_magi.guidance import CLEAN, NULL, TEXT
from inferix_magi.text.cleaning import clean_caption
from inferix_magi.text.config import MagiTextConfig, T5Config
from inferix_magi.text.special_tokens import load_special_tokens
from inferix_magi.text.t5 import T5Network
from inferix_magi.transformer.config import TransformerConfig
from inferix_magi.transformer.transformer import MagiTransformer
from outcome import Unsupported
from torch import Tensor

Table = Mapping[str, Any]
Tensors = dict[str, Tensor]

_FLAGS = {
    "PAD_STATIC": "static-start",
    "PAD_DYNAMIC": "moving-start",
    "PAD_BORDERNESS": "borders",
    "PAD_HQ": "high-quality",
    "PAD_THREE_D_MODEL": "3d-model",
    "PAD_TWO_D_ANIME": "2d-anime",
}
_NUM_NULL_SHOWN = 6
_NUM_OTHER = 17


def run_t5(case: Table, tensors: Tensors) -> Tensors:
    """Padded prompts under their masks."""
    given = case["config"]["t5"]
    try:
        network = T5Network(
            T5Config(
                vocab_size=given["vocab_size"],
                dim=given["d_model"],
                head_dim=given["d_kv"],
                ffn_dim=given["d_ff"],
                num_heads=given["num_heads"],
                num_layers=given["num_layers"],
                num_buckets=given["relative_attention_num_buckets"],
                max_distance=given["relative_attention_max_distance"],
                eps=given["layer_norm_epsilon"],
            )
        )
    except UnsupportedError as error:
        raise Unsupported(str(error)) from error
    weights = {name.removeprefix("sd."): value for name, value in tensors.items() if name.startswith("sd.")}
    weights["encoder.embed_tokens.weight"] = weights.pop("shared.weight")
    network.load_state_dict(weights)
    outputs: Tensors = {}
    for index, prompt in enumerate(case["call"]["prompts"]):
        if clean_caption(prompt["prompt"]) != prompt["cleaned"]:
            raise Unsupported(f"the caption {prompt['prompt']!r} is cleaned otherwise; ftfy may be missing")
        rows = network(tensors[f"p{index}.input_ids"], tensors[f"p{index}.attention_mask"])[0]
        num_shown = prompt["n_tokens"] + 40
        outputs |= {
            f"p{index}.caption_embs": rows[:num_shown].view(1, 1, num_shown, -1),
            f"p{index}.tail_row": rows[-1],
        }
    return outputs


def remake_cleaning(entry: Table, table: Table) -> Table:
    """Every caption, cleaned."""
    return {"pairs": [{"raw": pair["raw"], "cleaned": clean_caption(pair["raw"])} for pair in table["pairs"]]}


def remake_special_tokens(entry: Table, table: Table) -> Table:
    """What each chunk reads: every row has a number of its own, told back from the tokens that are attended to."""
    return {"table": [_remade(row) for row in table["table"]]}


def _remade(row: Table) -> dict[str, Any]:
    """One setting. The shapes of the original's padded tensors are not ours, and are copied."""
    captions = _Numbered(row["flags"], num_caption_rows=row["caption_len"])
    num_chunks, num_clean = row["infer_chunk_num"], row["clean_chunk_num"]
    texts = [captions.read(CLEAN if chunk < num_clean else TEXT, num_chunks - chunk) for chunk in range(num_chunks)]
    null = captions.read(NULL, num_chunks)
    copied = ("flags", "infer_chunk_num", "clean_chunk_num", "caption_len", "shape_text", "shape_null")
    return {
        **{name: row[name] for name in (*copied, "first_unmasked_text_row_of_clean_chunk")},
        "text_rows": [[] if rows == null else rows for rows in texts],  # the empty caption is no text
        "null_rows_first6": null[:_NUM_NULL_SHOWN],
        "null_mask_len": len(null),
    }


class _Numbered:
    """Captions of rows that can be told apart, over a transformer that lets them through."""

    def __init__(self, flags: list[str], *, num_caption_rows: int) -> None:
        self._labels = [*(f"cap{row}" for row in range(num_caption_rows)), *(f"null{row}" for row in range(800))]
        self._config = TransformerConfig(
            dim=16, ffn_dim=16, num_heads=1, num_kv_heads=1, head_dim=16, num_layers=1, condition_dim=16, text_dim=16,
            text_hidden_dim=16,
        )  # fmt: skip
        transformer = MagiTransformer(self._config)
        rows = self._rows("null", 800)
        with torch.no_grad():
            transformer.y_embedder.null_caption_embedding.copy_(rows)
            projection = transformer.y_embedder.y_proj_xattn[0]
            projection.weight.copy_(torch.eye(16))
            projection.bias.zero_()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "special_tokens.npz"
            np.savez(file, **self._arrays())
            special = load_special_tokens(
                MagiTextConfig(
                    special_tokens=str(file),
                    tokens=tuple(name for flag, name in _FLAGS.items() if flag in flags),
                    duration="PAD_DURATION" in flags,
                    negative_tokens="NEG_PROMPT" in flags,
                )
            )
        self._captions = Captions(transformer, special)
        self._caption = self._captions.caption(self._rows("cap", num_caption_rows))

    def read(self, branch: str, num_blocks_left: int) -> list[str]:
        """The labels of the rows that a chunk reads."""
        pass_input = PassInput(
            latents=torch.empty(0),
            times=[],
            positions=[],
            conditions=[[{CAPTION: self._caption}]],
            branches=[branch],
            entry_lengths=[1],
            num_blocks_left=[[num_blocks_left]],
        )
        [[chosen]] = self._captions.chosen(pass_input)
        return [label for one in chosen for label in self._told(one)]

    def _rows(self, name: str, count: int) -> Tensor:
        return torch.stack([self._row(f"{name}{row}") for row in range(count)]) if count else torch.empty(0, 16)

    def _row(self, label: str) -> Tensor:
        """A row that half precision and the activation keep: the label's number in binary, as 0 and 4."""
        if label not in self._labels:
            self._labels.append(label)
        number = self._labels.index(label)
        return torch.tensor([4.0 if number >> bit & 1 else 0.0 for bit in range(16)])

    def _arrays(self) -> dict[str, Any]:
        names = dict.fromkeys(range(_NUM_OTHER), "UNUSED")
        names |= {0: "TRANS_TOKEN", 1: "HQ_TOKEN", 2: "STATIC_FIRST_FRAMES_TOKEN", 3: "DYNAMIC_FIRST_FRAMES_TOKEN"}
        names |= {4: "BORDERNESS_TOKEN", 15: "THREE_D_MODEL_TOKEN", 16: "TWO_D_ANIME_TOKEN"}
        names |= {row: f"DURATION_TOKEN_{row - 6}" for row in range(7, 15)}
        others = torch.stack([self._row(names[row]) for row in range(_NUM_OTHER)])
        return {
            "caption_token": self._row("CAPTION_TOKEN").unsqueeze(0).double().numpy(),
            "logo_token": self._row("LOGO_TOKEN").unsqueeze(0).double().numpy(),
            "other_tokens": others.double().numpy(),
        }

    def _told(self, condition: Condition) -> list[str]:
        bits = condition.tokens[0] > 1.0  # the activation leaves 0 at 0 and 4 near 4
        numbers = (bits.long() << torch.arange(16)).sum(-1)
        return [self._labels[int(number)] for number in numbers]


CASES = [("t5_prompt*", run_t5)]
TABLES = [
    ("t5_text_cleaning*.json", remake_cleaning),
    ("prompt_special_tokens*.json", remake_special_tokens),
]
INPUTS = [("t5_prompt*", ("*.input_ids", "*.attention_mask"))]
