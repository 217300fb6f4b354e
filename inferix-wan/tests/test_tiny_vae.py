"""TAEHV as a decoder: streaming, precision, its files, and what it refuses."""

from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError, ConfigError, UnsupportedError
from inferix_core.plan import Geometry
from inferix_core.testing.suites import DecoderSuite, provided_by
from inferix_wan import plugin
from inferix_wan.checkpoints.kinds import NETWORKS, recognised
from inferix_wan.checkpoints.shapes import tiny_vae_tensors
from inferix_wan.config import TaehvDecoderConfig, WanVaeDecoderConfig
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.tiny_vae.config import TinyVaeConfig
from inferix_wan.tiny_vae.decoder import TaehvDecoder
from inferix_wan.tiny_vae.model import TinyVae
from safetensors.torch import save_file

CPU = torch.device("cpu")
GEOMETRY = Geometry((16, 2, 4), 2, 16, 32, fps=16.0)
TINY = {"weights": "random", "base_dim": 4}


def decoder(*, dtype: torch.dtype = torch.float32, geometry: Geometry = GEOMETRY, **settings: object) -> TaehvDecoder:
    config = TaehvDecoderConfig.model_validate(settings or TINY)
    return TaehvDecoder(config, geometry=geometry, device=CPU, dtype=dtype)


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = tiny_vae_tensors(TinyVaeConfig(base_dim=4))
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestTaehv(DecoderSuite):
    provides = provided_by(plugin, "taehv")

    def decoder(self) -> TaehvDecoder:
        return decoder()

    def geometry(self) -> Geometry:
        return GEOMETRY


class TestTaehvInHalfPrecision(TestTaehv):
    dtype = torch.bfloat16
    tolerance = 0.02

    def decoder(self) -> TaehvDecoder:
        return decoder(dtype=torch.bfloat16)


def test_the_module_has_the_tensors_that_are_expected_of_a_file() -> None:
    for has_encoder, network in ((True, "taew2.1"), (False, "taew2.1-decoder")):
        with torch.device("meta"):
            module = TinyVae(TinyVaeConfig(), has_encoder=has_encoder)
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        assert shapes == NETWORKS[network]()
        kind = recognised(shapes)
        assert kind is not None
        assert (kind.part, kind.network) == ("tiny_vae", network)


def test_a_frame_sees_the_one_before_it() -> None:
    one = decoder()
    latents = random(4, 16, 2, 4)
    frames, _ = one.decode(latents, None)
    changed, _ = one.decode(torch.cat([random(1, 16, 2, 4, seed=1), latents[1:]]), None)
    assert not torch.allclose(frames[1:5], changed[1:5], atol=1e-3)
    later, _ = one.decode(torch.cat([latents[:3], random(1, 16, 2, 4, seed=1)]), None)
    assert torch.allclose(frames[:9], later[:9], atol=1e-6)


def test_long_blocks_are_decoded_in_parts_with_the_same_frames() -> None:
    latents = random(7, 16, 2, 4)
    whole, _ = decoder(**TINY, max_latents=7).decode(latents, None)
    parts, _ = decoder(**TINY, max_latents=2).decode(latents, None)
    assert len(whole) == 25
    assert torch.allclose(whole, parts, atol=1e-5)


def test_a_state_is_a_frame_for_each_block_and_no_view_of_more() -> None:
    _, state = decoder().decode(random(3, 16, 2, 4), None)
    assert len(state) == 9
    assert all(len(kept) == 1 and kept.untyped_storage().nbytes() == kept.numel() * 4 for kept in state)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_is_loaded_by_its_official_names(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"taew2_1{suffix}"
    if suffix == ".pth":
        torch.save(weights(), path)
    else:
        save_file(weights(), path)
    reference = TinyVae(TinyVaeConfig(base_dim=4))
    reference.load_state_dict(weights())
    expected, _ = reference.decode(random(3, 16, 2, 4))
    for checkpoint in (path, tmp_path):
        found, _ = decoder(checkpoint=str(checkpoint), base_dim=4).decode(random(3, 16, 2, 4), None)
        assert torch.allclose(found, expected, atol=1e-6)


def test_in_a_folder_of_both_each_decoder_finds_its_own_file(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "taew2_1.pth")
    torch.save({"decoder.conv1.weight": torch.zeros(1)}, tmp_path / "Wan2.1_VAE.pth")
    decoder(checkpoint=str(tmp_path), base_dim=4)
    config = WanVaeDecoderConfig(checkpoint=str(tmp_path), base_dim=4)
    with pytest.raises(CheckpointError, match=r"does not fit WanVAE"):
        WanVaeDecoder(config, geometry=GEOMETRY, device=CPU, dtype=torch.float32)


def test_a_file_without_an_encoder_decodes_and_refuses_to_encode(tmp_path: Path) -> None:
    path = tmp_path / "decoder.safetensors"
    save_file({name: value for name, value in weights().items() if name.startswith("decoder.")}, path)
    one = decoder(checkpoint=str(path), base_dim=4)
    assert len(one.decode(random(2, 16, 2, 4), None)[0]) == 5
    with pytest.raises(UnsupportedError, match=r"holds a decoder alone.*wan-vae"):
        one.encode(torch.zeros(1, 3, 16, 32), None)


def test_a_file_of_another_network_is_called_what_it_is(tmp_path: Path) -> None:
    vae = {"decoder.conv1.weight": torch.zeros(384, 16, 3, 3, 3), "encoder.conv1.weight": torch.zeros(96, 3, 3, 3, 3)}
    save_file({**vae, "decoder.upsamples.0.residual.0.gamma": torch.zeros(384, 1, 1, 1)}, tmp_path / "vae.safetensors")
    with pytest.raises(CheckpointError, match=r"It is the wan2\.1 vae.*but what is needed is a tiny vae"):
        decoder(checkpoint=str(tmp_path / "vae.safetensors"), base_dim=4)


def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(tmp_path: Path) -> None:
    lacking = weights()
    del lacking["decoder.13.conv.weight"]
    save_file(lacking, tmp_path / "taew2_1.safetensors")
    with pytest.raises(CheckpointError, match=r"1 missing: decoder\.13\.conv\.weight"):
        decoder(checkpoint=str(tmp_path), base_dim=4)


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (Geometry((4, 2, 4), 2, 16, 32, fps=16.0), "of 16 channels, but the model makes 4"),
        (Geometry((16, 2, 4), 2, 32, 64, fps=16.0), "frames of 16x32 of these latents"),
        (Geometry((16, 2, 4), 2, 16, 32, fps=16.0, num_frames_per_latent=8), "4 of each later one, but .* and 8"),
    ],
)
def test_latents_of_another_model_are_refused(geometry: Geometry, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decoder(geometry=geometry, **TINY)


def test_weights_are_asked_for_by_the_name_of_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"Set decoder\.checkpoint"):
        decoder(base_dim=4)


def test_frames_that_do_not_fill_a_latent_wait() -> None:
    one = decoder()
    frames = random(6, 3, 16, 32).clamp(-1, 1)
    counts, state = [], None
    for piece in torch.split(frames, 1):
        latents, state = one.encode(piece, state)
        counts.append(len(latents))
    assert counts == [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("shape", [(2, 4, 16, 32), (2, 3, 12, 32)])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"frames (must be|of 12x32)"):
        decoder().encode(torch.zeros(shape), None)
