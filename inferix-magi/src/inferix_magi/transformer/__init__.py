"""The MAGI-1 diffusion transformer: `.transformer.MagiTransformer` is the module. This loads no torch."""

from inferix_magi.transformer.config import TransformerConfig

__all__ = ["TransformerConfig"]
