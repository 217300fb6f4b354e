"""Prompts to embeddings: `.umt5_encoder.Umt5TextEncoder` for trained models. Importing this package loads no torch."""

from inferix_wan.text.config import TextEncoderConfig, Umt5Config

__all__ = ["TextEncoderConfig", "Umt5Config"]
