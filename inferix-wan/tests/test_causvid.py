"""The end of one CausVid rollout becomes the beginning of the next."""

import pytest
import torch
from inferix_core.errors import ConfigError
from inferix_wan.initialisation import initialise
from inferix_wan.overlap import num_overlap_frames, start_latents
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE


def vae() -> WanVAE:
    made = WanVAE(VaeConfig(base_dim=4, num_res_blocks=1)).requires_grad_(False)
    initialise(made, seed=1)
    return made


def test_the_first_latent_is_the_overlaps_first_frame_encoded_as_a_video_of_its_own() -> None:
    network = vae()
    latents = torch.randn(1, 5, 16, 2, 2, generator=torch.Generator().manual_seed(0))
    frames, _ = network.decode(latents)
    made = start_latents(network, latents=latents, frames=frames, num_overlap_latents=3)
    assert made.shape == (1, 3, 16, 2, 2)
    assert torch.equal(made[:, 1:], latents[:, 3:])
    assert torch.equal(made[:, :1], network.encode(frames[:, 8:9])[0])
    assert not torch.allclose(made[:, :1], latents[:, 2:3], atol=1e-2)


def test_the_frames_of_the_overlap_are_those_that_it_decodes_to_by_itself() -> None:
    network = vae()
    frames, _ = network.decode(torch.zeros(1, 3, 16, 2, 2))
    assert [num_overlap_frames(count) for count in (1, 2, 3)] == [1, 5, frames.shape[1]]


@pytest.mark.parametrize("num_latents", [0, 5])
def test_an_overlap_must_be_shorter_than_the_rollout(num_latents: int) -> None:
    with pytest.raises(ConfigError, match="give 1 to 4"):
        start_latents(
            vae(),
            latents=torch.zeros(1, 5, 16, 2, 2),
            frames=torch.zeros(1, 17, 3, 16, 16),
            num_overlap_latents=num_latents,
        )
