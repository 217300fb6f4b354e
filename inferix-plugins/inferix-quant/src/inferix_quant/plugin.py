"""The quantizers of this package, declared without loading torch."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.hookspecs import hookimpl
from inferix_core.specs import Spec

from inferix_quant.config import Fp8Config, Int8Config


@hookimpl
def inferix_quantizers() -> Iterable[Spec]:
    """Linear layers at one byte a weight."""
    yield Spec(
        name="int8",
        summary="int8 linear layers: a scale for each token and each output channel. About 1 % error a layer.",
        implementation="inferix_quant.int8:int8_quantizer",
        config=Int8Config,
    )
    yield Spec(
        name="fp8",
        summary="fp8 linear layers: a scale for each token and each output channel. About 5 % error a layer.",
        implementation="inferix_quant.fp8:fp8_quantizer",
        config=Fp8Config,
    )
