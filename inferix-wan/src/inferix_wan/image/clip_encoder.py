"""The image encoder of Wan's image-to-video models.

Letters: B pictures, H, W their height and width, N tokens, D width of a token, S side that the network takes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from inferix_wan.image.clip import ClipNetwork, network_name
from inferix_wan.image.config import ClipConfig
from inferix_wan.weights import load_weights

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of CLIP's training pictures, for pixels in [0, 1]."""

PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
"""Standard deviation of the same."""


class ClipImageEncoder:
    """Pictures to tokens, on the device and in the dtype of the network's weights."""

    def __init__(self, network: ClipNetwork) -> None:
        self._network = network

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1], of any size -> [B, N, D]: 257 tokens of 1280 for Wan 2.1's network.

        The aspect ratio is not kept, as in the original. Raises `ValueError` for another number of channels or axes.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(
                f"pictures are {list(pictures.shape)}, but [B, 3, H, W] is expected: red, green and blue in [-1, 1]."
            )
        weight = self._network.patch_embedding.weight
        size = self._network.config.image_size
        normalised = normalised_pictures(pictures.to(weight.device), size=size)
        tokens: Tensor = self._network(normalised.to(weight.dtype))
        return tokens


def normalised_pictures(pictures: Tensor, *, size: int) -> Tensor:
    """[B, 3, H, W] in [-1, 1] -> float32 [B, 3, S, S] with S `size`, by CLIP's mean and standard deviation."""
    resized = F.interpolate(pictures.float(), (size, size), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values, device=resized.device).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
    return (resized * 0.5 + 0.5 - mean) / std


def load_image_encoder(
    checkpoint: str | Path, *, device: torch.device, dtype: torch.dtype, shape: ClipConfig | None = None
) -> ClipImageEncoder:
    """The encoder in `models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth`, or the same in another container.

    Of the file only the image tower is read: 1.3 GB in half precision. Raises `CheckpointError` for a file that does
    not fit.
    """
    with torch.device("meta"):
        network = ClipNetwork(shape or ClipConfig())
    load_weights(network, checkpoint, device=device, dtype=dtype, rename=network_name)
    return ClipImageEncoder(network)
