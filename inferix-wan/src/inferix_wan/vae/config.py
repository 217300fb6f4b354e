"""The shape of a Wan VAE and its latent normalisation; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field

WAN21_LATENT_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
WAN21_LATENT_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """Dimensions of a Wan VAE; the defaults are those of `Wan2.1_VAE.pth`.

    Raises `ValueError` if the lengths of the fields do not fit each other.
    """

    base_dim: int = 96
    """Channels at full resolution."""
    latent_dim: int = 16
    """Channels of a latent."""
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each resolution, in units of `base_dim`; each further one halves height and width."""
    num_res_blocks: int = 2
    """Residual blocks at each resolution of the encoder; the decoder has one more."""
    temporal_downsample: tuple[bool, ...] = (False, True, True)
    """Which of the halvings of height and width also halve the number of frames."""
    latent_mean: tuple[float, ...] = field(default=WAN21_LATENT_MEAN)
    """Subtracted from each latent channel on encoding."""
    latent_std: tuple[float, ...] = field(default=WAN21_LATENT_STD)
    """Divides each latent channel on encoding."""

    def __post_init__(self) -> None:
        if len(self.temporal_downsample) != len(self.dim_mult) - 1:
            raise ValueError(
                f"temporal_downsample has {len(self.temporal_downsample)} entries, but {len(self.dim_mult)} "
                f"resolutions have {len(self.dim_mult) - 1} halvings between them: give one entry for each."
            )
        for name in ("latent_mean", "latent_std"):
            if len(getattr(self, name)) != self.latent_dim:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} entries for {self.latent_dim} latent channels: "
                    "give one for each channel."
                )

    @property
    def spatial_stride(self) -> int:
        """Pixels along one side that one latent position stands for."""
        return int(2 ** (len(self.dim_mult) - 1))

    @property
    def temporal_stride(self) -> int:
        """Frames that each latent but the first stands for."""
        return int(2 ** sum(self.temporal_downsample))

    def num_frames(self, num_latents: int) -> int:
        """Frames that the first `num_latents` latents of a video decode to."""
        return 0 if num_latents == 0 else 1 + self.temporal_stride * (num_latents - 1)
