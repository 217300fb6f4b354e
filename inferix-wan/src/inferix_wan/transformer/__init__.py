"""The Wan 2.1 diffusion transformer: `.transformer.WanTransformer` is the module. This loads no torch."""

from inferix_wan.transformer.config import TransformerConfig

__all__ = ["TransformerConfig"]
