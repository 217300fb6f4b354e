"""The Wan 2.1 diffusion transformer. `transformer.transformer.CausalWanTransformer` is the module; this loads no torch."""

from inferix_wan.transformer.config import TransformerConfig

__all__ = ["TransformerConfig"]
