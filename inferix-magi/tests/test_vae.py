"""The ViT VAE: tiles, groups of latents, and what cannot be decoded."""

import json
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError, ConfigError
from inferix_core.plan import Geometry
from inferix_core.testing.suites import DecoderSuite, provided_by
from inferix_magi import plugin
from inferix_magi.decoder import MagiVaeDecoder
from inferix_magi.vae.config import VAES, MagiVaeConfig, VaeConfig, from_official
from inferix_magi.vae.model import MagiVae
from inferix_magi.vae.tiling import Axis, decode_tiled, encode_tiled
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

CPU = torch.device("cpu")
TILES = {"tile_pixels": 32, "tile_overlap": 8}


def geometry(rows: int = 4, columns: int = 6) -> Geometry:
    return Geometry((16, rows, columns), rows * columns // 4, 8 * rows, 8 * columns, 24.0, num_frames_first=4)


def decoder(of: Geometry | None = None, **settings: object) -> MagiVaeDecoder:
    config = MagiVaeConfig.model_validate({"weights": "random", "size": "tiny-random", **TILES, **settings})
    return MagiVaeDecoder(config, geometry=of or geometry(), device=CPU, dtype=torch.float32)


def video(num_frames: int, *, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(num_frames, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0


class TestDecoder(DecoderSuite):
    """As released: three latents at a time."""

    group = 3
    provides = provided_by(plugin, "magi-vae")

    def decoder(self) -> MagiVaeDecoder:
        return decoder()

    def geometry(self) -> Geometry:
        return geometry()


class TestDecoderOfSingleLatents(TestDecoder):
    """Streams may be cut anywhere."""

    group = 1

    def decoder(self) -> MagiVaeDecoder:
        return decoder(num_tile_latents=1)


def test_a_block_is_decoded_in_groups_that_begin_with_it() -> None:
    latents = torch.randn(4, 16, 4, 6, generator=torch.Generator().manual_seed(1))
    frames, _ = decoder().decode(latents, None)
    three, _ = decoder().decode(latents[:3], None)
    last, _ = decoder().decode(latents[3:], None)
    assert torch.equal(frames, torch.cat([three, last]))
    assert not torch.allclose(frames, decoder(num_tile_latents=4).decode(latents, None)[0])


def test_an_encoded_stream_has_the_same_latents_cut_between_groups_and_waits_for_whole_latents() -> None:
    frames = video(28)
    whole, rest = decoder().encode(frames[:26], None)
    assert (tuple(whole.shape), tuple(rest.shape)) == ((6, 16, 4, 6), (2, 3, 32, 48))
    first, state = decoder().encode(frames[:12], None)
    second, state = decoder().encode(frames[12:26], state)
    assert torch.allclose(torch.cat([first, second]), whole, atol=1e-5)
    third, state = decoder().encode(frames[26:], state)
    assert state is None
    assert torch.allclose(third, decoder().encode(frames[24:], None)[0], atol=1e-5)


def test_frames_that_fill_no_latent_make_none() -> None:
    latents, state = decoder().encode(video(3), None)
    assert tuple(latents.shape) == (0, 16, 4, 6)
    assert torch.equal(state, video(3))


@pytest.mark.parametrize("run", [encode_tiled, decode_tiled])
def test_tiles_of_a_video_that_is_left_as_it_is_make_it_anew(run) -> None:
    given = video(9, height=14, width=23).unsqueeze(0).transpose(1, 2)
    axes = (Axis(4, 1, 1), Axis(6, 2, 1), Axis(8, 4, 1))
    assert torch.allclose(run(lambda tile: tile, given, axes), given, atol=1e-6)


def test_tiles_overlap_by_a_linear_fade() -> None:
    tiles = iter([torch.zeros(1, 1, 1, 1, 4), torch.ones(1, 1, 1, 1, 4)])
    axes = (Axis(1, 0, 1), Axis(1, 0, 1), Axis(4, 2, 1))
    made = decode_tiled(lambda tile: next(tiles)[..., : tile.shape[-1]], torch.empty(1, 1, 1, 1, 4), axes)
    assert made.flatten().tolist() == [0.0, 0.0, 0.0, 0.5]


def test_tiles_as_large_as_the_video_are_the_video_at_once() -> None:
    latents = torch.randn(3, 16, 4, 6, generator=torch.Generator().manual_seed(1))
    at_once, _ = decoder(tile_pixels=64).decode(latents, None)
    tiled, _ = decoder().decode(latents, None)
    assert at_once.shape == tiled.shape
    assert not torch.allclose(at_once, tiled)


def test_the_position_table_is_resized_for_other_grids_and_the_lone_token_keeps_its_own() -> None:
    vae = MagiVae(VAES["tiny-random"])
    torch.nn.init.normal_(vae.decoder.pos_embed)
    table = vae.decoder.pos_embed
    assert vae.decoder.positions((2, 4, 4)) is table
    resized = vae.decoder.positions((1, 2, 6))
    assert tuple(resized.shape) == (1, 13, 256)
    assert torch.equal(resized[:, 0], table[:, 0])


def save_vae(folder: Path, shape: VaeConfig) -> dict[str, Tensor]:
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(2)
    weights = {
        name: torch.randn(value.shape, generator=generator) * 0.02
        for name, value in MagiVae(shape).state_dict().items()
    }
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps({"_class_name": "ViTVAE", "ddconfig": OFFICIAL}))
    return weights


OFFICIAL = {
    "double_z": True, "in_chans": 3, "qkv_bias": True, "ln_in_attn": True, "conv_last_layer": True,
    "video_size": 16, "video_length": 8, "patch_size": 8, "patch_length": 4, "z_chans": 16, "embed_dim": 512,
    "depth": 1, "num_heads": 2, "mlp_ratio": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("place", ["", "vae", "ckpt/vae"])
def test_the_official_folder_says_the_shape_and_loads(tmp_path: Path, place: str) -> None:
    weights = save_vae(tmp_path / "w" / place if place else tmp_path / "w", from_official(OFFICIAL))
    config = MagiVaeConfig(checkpoint=str(tmp_path / "w"))
    made = MagiVaeDecoder(config, geometry=geometry(), device=CPU, dtype=torch.float32)
    vae = MagiVae(from_official(OFFICIAL))
    vae.load_state_dict(weights)
    latents = torch.randn(1, 16, 4, 6, generator=torch.Generator().manual_seed(1))
    expected = vae.decode(latents.unsqueeze(2).transpose(0, 1).transpose(0, 1).permute(0, 1, 2, 3, 4) / 0.18215)
    assert torch.allclose(made.decode(latents, None)[0], expected[0].transpose(0, 1).detach().clamp(-1, 1), atol=1e-5)


def test_a_vae_of_another_kind_is_refused_by_what_is_other() -> None:
    with pytest.raises(ConfigError, match=r"with ln_in_attn = False, use_conv, which this package does not build"):
        from_official({**OFFICIAL, "ln_in_attn": False, "use_conv": 1})


def test_weights_are_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"decoder: no checkpoint is given\. Set decoder\.checkpoint"):
        MagiVaeDecoder(MagiVaeConfig(), geometry=geometry(), device=CPU, dtype=torch.float32)
    with pytest.raises(ConfigError, match="together with random weights"):
        decoder(checkpoint="vae")


def test_a_checkpoint_of_another_size_is_told(tmp_path: Path) -> None:
    save_vae(tmp_path / "w", from_official(OFFICIAL))
    (tmp_path / "w" / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"It is a vae of no released size .*, but what is needed is the magi-1 vae"
    ):
        MagiVaeDecoder(
            MagiVaeConfig(checkpoint=str(tmp_path / "w")), geometry=geometry(), device=CPU, dtype=torch.float32
        )


def test_what_the_model_makes_and_the_tiles_must_fit() -> None:
    with pytest.raises(ConfigError, match="choose the decoder that belongs to the model"):
        decoder(Geometry((16, 4, 6), 6, 32, 48, 24.0, num_frames_first=1))
    with pytest.raises(ConfigError, match="tile_pixels is 36, but the VAE works in patches of 8 pixels"):
        decoder(tile_pixels=36)
    with pytest.raises(ValidationError, match="more than half of tile_pixels"):
        MagiVaeConfig(tile_pixels=64, tile_overlap=40)
    with pytest.raises(ConfigError, match="must be multiples of 8"):
        decoder().encode(video(4, height=30), None)
