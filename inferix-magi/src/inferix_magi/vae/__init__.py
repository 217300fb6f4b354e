"""The ViT VAE of MAGI-1. Importing this package loads no torch."""

from inferix_magi.vae.config import VaeConfig

__all__ = ["VaeConfig"]
