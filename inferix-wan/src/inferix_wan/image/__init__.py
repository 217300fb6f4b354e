"""Pictures to tokens for image-to-video models: `.clip_encoder.ClipImageEncoder`. This loads no torch."""

from inferix_wan.image.config import ClipConfig

__all__ = ["ClipConfig"]
