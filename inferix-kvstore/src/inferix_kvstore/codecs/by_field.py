"""A codec made of one codec for each field of a page.

Letters: P pages, R rows (tokens).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from inferix_core.errors import ConfigError
from inferix_core.plan import FieldShape, KVLayout
from torch import Tensor

from inferix_kvstore.codecs.configuration import CodecConfig

KEYS = "k"
"""The field whose channels differ in size; they are scaled channel by channel where a codec can."""


class FieldCodec(Protocol):
    """How one field is kept: as named parts."""

    parts: dict[str, FieldShape]

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """The parts of `values` [P, R, ...]: `[P, rows, ...]` each."""

    def decode(self, stored: Mapping[str, Tensor]) -> Tensor:
        """[P, R, ...] in a new tensor of the field's dtype."""


MakeFieldCodec = Callable[[FieldShape, int, torch.dtype], FieldCodec]
"""A field codec for a field, its number of rows and its dtype."""


class CodecByField:
    """The contract's codec: `keys` makes the codec of the field "k", `others` those of all other fields.

    The part `scale` of the field `v` is stored as `v.scale`. Raises `ConfigError` for a field that is no vector of
    floating-point numbers.
    """

    def __init__(
        self,
        config: CodecConfig,
        *,
        layout: KVLayout,
        dtype: torch.dtype,
        keys: MakeFieldCodec,
        others: MakeFieldCodec,
    ) -> None:
        self.num_exact_sink_latents = config.num_exact_sink_latents
        self.num_exact_recent_latents = config.num_exact_recent_latents
        self._codecs: dict[str, FieldCodec] = {}
        for name, field in layout.fields.items():
            make = keys if name == KEYS else others
            self._codecs[name] = make(field, layout.page_shape(name)[0], _float_dtype(name, field, dtype))
        stored = {
            f"{name}.{part}": shape for name, codec in self._codecs.items() for part, shape in codec.parts.items()
        }
        self.layout = KVLayout(layout.num_layers, layout.tokens_per_latent, stored)

    def encode(self, fields: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `KVCodec.encode`."""
        return {
            f"{name}.{part}": kept
            for name, codec in self._codecs.items()
            for part, kept in codec.encode(fields[name]).items()
        }

    def decode(self, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `KVCodec.decode`."""
        return {
            name: codec.decode({part: stored[f"{name}.{part}"] for part in codec.parts})
            for name, codec in self._codecs.items()
        }


def _float_dtype(name: str, field: FieldShape, model_dtype: torch.dtype) -> torch.dtype:
    dtype = model_dtype if field.dtype is None else getattr(torch, field.dtype)
    if not dtype.is_floating_point or not field.shape:
        kind = f"numbers of {dtype}" if field.shape else "a single number for each token"
        raise ConfigError(
            f"The chosen KV codec keeps vectors of floating-point numbers, but the model's field '{name}' is {kind}. "
            "Use the codec 'none'."
        )
    return dtype
