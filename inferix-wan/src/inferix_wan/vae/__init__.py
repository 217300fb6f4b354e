"""The Wan VAE. `inferix_wan.vae.model.WanVAE` is the module; importing this package loads no torch."""

from inferix_wan.vae.config import VaeConfig

__all__ = ["VaeConfig"]
