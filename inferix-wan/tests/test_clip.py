"""The image encoder takes pictures of any size, and of the official file what it needs."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError
from inferix_wan.image import ClipConfig
from inferix_wan.image.clip import UNUSED, ClipNetwork, network_name
from inferix_wan.image.clip_encoder import (
    PIXEL_MEAN,
    PIXEL_STD,
    ClipImageEncoder,
    load_image_encoder,
    normalised_pictures,
)
from inferix_wan.initialisation import initialise

CPU = torch.device("cpu")
MANIFEST = Path(__file__).parents[2] / "tests" / "golden" / "wan" / "manifest_clip_xlm_roberta_vit_h_14.json.gz"
SHAPE = ClipConfig(image_size=8, patch_size=4, dim=16, num_heads=2, num_layers=3)


@pytest.fixture
def network() -> ClipNetwork:
    made = ClipNetwork(SHAPE)
    initialise(made, seed=1)
    return made.requires_grad_(False)


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 10, 14, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.skipif(not MANIFEST.is_file(), reason="the manifest lies in the repository alone")
def test_the_full_size_network_has_the_official_tensors_but_those_without_effect() -> None:
    tensors = json.loads(gzip.decompress(MANIFEST.read_bytes()))["tensors"]
    with torch.device("meta"):
        network = ClipNetwork(ClipConfig())
    ours = {name: [list(value.shape), "float32"] for name, value in network.state_dict().items()}
    used = {network_name(name): value for name, value in tensors.items() if not name.startswith(UNUSED)}
    assert used == ours
    assert sum(name.startswith(UNUSED) for name in tensors) == len(tensors) - len(ours)
    assert all(any(name.startswith(unused) for name in tensors) for unused in UNUSED)
    assert not list(network.buffers())
    assert ClipConfig().num_tokens == 257


def test_the_image_tower_is_loaded_out_of_the_whole_file(
    network: ClipNetwork, pictures: torch.Tensor, tmp_path: Path
) -> None:
    weights = {f"visual.{name}": value for name, value in network.state_dict().items()}
    others = ["textual.norm.weight", "log_scale", "visual.post_norm.weight", "visual.head"]
    path = tmp_path / "clip.pth"
    torch.save({**weights, **{name: torch.zeros(1) for name in others}}, path)
    encoder = load_image_encoder(path, device=CPU, dtype=torch.float32, shape=SHAPE)
    assert torch.equal(encoder.encode(pictures), ClipImageEncoder(network).encode(pictures))
    torch.save({**weights, "visual.projector": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="1 unexpected: projector"):
        load_image_encoder(path, device=CPU, dtype=torch.float32, shape=SHAPE)


def test_each_picture_becomes_its_patches_and_a_class_token_in_the_networks_dtype(
    network: ClipNetwork, pictures: torch.Tensor
) -> None:
    both = ClipImageEncoder(network).encode(pictures)
    assert both.shape == (2, SHAPE.num_tokens, SHAPE.dim) == (2, 5, 16)
    torch.testing.assert_close(both[1:], ClipImageEncoder(network).encode(pictures[1:]))
    assert ClipImageEncoder(network.bfloat16()).encode(pictures).dtype is torch.bfloat16


def test_the_last_block_has_no_part_in_the_tokens(network: ClipNetwork, pictures: torch.Tensor) -> None:
    before = ClipImageEncoder(network).encode(pictures)
    network.transformer[2].mlp[0].weight.zero_()
    assert torch.equal(ClipImageEncoder(network).encode(pictures), before)
    network.transformer[1].mlp[0].weight.zero_()
    assert not torch.equal(ClipImageEncoder(network).encode(pictures), before)


def test_pictures_are_normalised_by_the_mean_and_deviation_of_clip() -> None:
    grey = torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1).expand(1, 3, 5, 9) * 2 - 1
    torch.testing.assert_close(normalised_pictures(grey, size=8), torch.zeros(1, 3, 8, 8), atol=1e-6, rtol=0)
    deviation = torch.tensor(PIXEL_STD).view(1, 3, 1, 1) * 2
    torch.testing.assert_close(normalised_pictures(grey + deviation, size=8), torch.ones(1, 3, 8, 8))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8)])
def test_a_picture_without_three_channels_is_refused(network: ClipNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"but \[B, 3, H, W\] is expected"):
        ClipImageEncoder(network).encode(torch.zeros(shape))


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size 10 cannot be cut into patches of 4"):
        ClipConfig(image_size=10, patch_size=4)
    with pytest.raises(ValueError, match="dim 10 cannot be split into 4 heads"):
        ClipConfig(dim=10, num_heads=4)
