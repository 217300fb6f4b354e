"""A model as the engine sees it: sizes, weights, conditions."""

from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError, ConfigError, SignalError
from inferix_core.plan import Geometry
from inferix_core.signals import Signal
from inferix_wan.config import SelfForcingConfig, TextToVideoConfig, WanModelConfig, WanVaeDecoderConfig
from inferix_wan.configured_model import text_model
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.geometry import wan_geometry
from inferix_wan.model import WanModel
from inferix_wan.sizes import TRANSFORMERS
from inferix_wan.transformer import TransformerConfig
from safetensors.torch import save_file

CPU = torch.device("cpu")


def tiny(**settings: object) -> WanModel:
    base = {"size": "tiny-random", "weights": "random", "height": 32, "width": 48}
    config = SelfForcingConfig.model_validate({**base, **settings})
    return text_model(config, device=CPU, dtype=torch.float32)


def test_geometry_follows_the_frame_size_in_landscape_and_portrait() -> None:
    assert tiny().geometry == Geometry((16, 4, 6), 6, 32, 48, fps=16.0)
    assert tiny(height=48, width=32).geometry.latent_shape == (16, 6, 4)
    assert tiny().layout.tokens_per_latent == 6


def test_the_full_size_is_that_of_the_official_video() -> None:
    geometry = wan_geometry(TransformerConfig(), height=480, width=832, fps=16.0)
    assert (geometry.latent_shape, geometry.tokens_per_latent) == ((16, 60, 104), 1560)
    assert geometry.num_frames(range(21)) == 81


@pytest.mark.parametrize(
    ("side", "size", "accepted"), [("height", 40, "32 or 48"), ("width", 850, "848 or 864"), ("width", 8, "16 or more")]
)
def test_a_size_that_is_no_multiple_is_refused_with_its_neighbours(side: str, size: int, accepted: str) -> None:
    with pytest.raises(ConfigError, match=f"{side} of {size} pixels .* multiples of 16: use {accepted}"):
        tiny(**{side: size})


def test_both_sides_of_a_frame_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"height of 470 .* use 464 or 480, and a width of 850 .* use 848 or 864\."):
        tiny(height=470, width=850)


def test_a_seed_gives_the_same_random_weights_and_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = tiny(), tiny(), tiny(weights_seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    name = "blocks.1.ffn.0.weight"
    first, second, third = (model.transformer.state_dict()[name] for model in (one, same, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_a_part_that_a_signal_does_not_change_stays_the_same_object() -> None:
    model = tiny()
    first = model.encode(Signal(prompt="a red ball"), None)
    assert model.encode(Signal(), first)["text"] is first["text"]
    changed = model.encode(Signal(prompt="a blue ball"), first)["text"]
    assert not torch.equal(changed.tokens, first["text"].tokens)
    assert changed.tokens.shape == (1, 8, 48)


def test_the_same_prompt_gives_the_same_tokens_and_word_order_matters() -> None:
    model = tiny()
    tokens = [model.encode(Signal(prompt=prompt), None)["text"].tokens for prompt in ("a b", "a b", "b a", "")]
    assert torch.equal(tokens[0], tokens[1])
    assert not torch.equal(tokens[0], tokens[2])
    assert tokens[3].isfinite().all()


def test_the_negative_prompt_is_a_part_of_its_own_that_worlds_share() -> None:
    model = tiny(negative_prompt="blurred")
    first, second = (model.encode(Signal(prompt=prompt), None) for prompt in ("a ball", "blurred"))
    assert first["negative_text"] is second["negative_text"]
    assert torch.equal(first["negative_text"].tokens, second["text"].tokens)
    assert "negative_text" not in tiny().encode(Signal(prompt="a ball"), None)
    assert "negative_text" in tiny(negative_prompt="").encode(Signal(prompt="a ball"), None)


@pytest.mark.parametrize(
    ("config", "latent_dtype"), [(SelfForcingConfig, torch.bfloat16), (TextToVideoConfig, torch.float32)]
)
def test_latents_have_the_precision_of_the_residuals(config: type[WanModelConfig], latent_dtype: torch.dtype) -> None:
    settings = config(size="tiny-random", weights="random", height=32, width=32)
    model = text_model(settings, device=CPU, dtype=torch.bfloat16)
    assert (model.dtype, model.latent_dtype) == (torch.bfloat16, latent_dtype)


def test_an_action_is_refused() -> None:
    with pytest.raises(SignalError, match="'left' was sent, but this model takes none"):
        tiny().encode(Signal(action="left"), None)


def test_a_model_without_weights_says_how_to_give_them() -> None:
    with pytest.raises(ConfigError, match=r"model: no checkpoint is given\. Set model\.checkpoint"):
        tiny(weights="checkpoint")
    with pytest.raises(ConfigError, match="together with random weights"):
        tiny(checkpoint="w.pt")


def test_a_checkpoint_that_does_not_fit_is_told_before_the_missing_text_encoder(tmp_path: Path) -> None:
    weights = dict(tiny().transformer.state_dict())
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    with pytest.raises(ConfigError, match=r"UMT5 .* Set model\.text\.checkpoint to models_t5.*`inferix weights check"):
        tiny(weights="checkpoint", checkpoint=str(path))
    weights.pop("head.head.bias")
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"1 missing: head\.head\.bias"):
        tiny(weights="checkpoint", checkpoint=str(path))


def test_a_checkpoint_with_a_text_encoder_is_loaded(tmp_path: Path) -> None:
    class Ones:
        def encode(self, prompt: str) -> torch.Tensor:
            return torch.ones(2, TRANSFORMERS["tiny-random"].text_dim)

    path = tmp_path / "w.safetensors"
    save_file(tiny(weights_seed=4).transformer.state_dict(), path)
    config = SelfForcingConfig(size="tiny-random", checkpoint=str(path), height=32, width=32)
    model = text_model(config, device=CPU, dtype=torch.bfloat16, text_encoder=Ones())
    assert model.dtype == model.latent_dtype == torch.bfloat16
    assert model.encode(Signal(prompt="x"), None)["text"].tokens.dtype == torch.bfloat16


def decoder(geometry: Geometry) -> WanVaeDecoder:
    config = WanVaeDecoderConfig(weights="random", base_dim=4, num_res_blocks=1)
    return WanVaeDecoder(config, geometry=geometry, device=CPU, dtype=torch.float32)


def test_the_decoder_gives_one_frame_for_the_first_latent_and_the_same_however_a_stream_is_cut() -> None:
    one = decoder(Geometry((16, 2, 4), 2, 16, 32, fps=16.0))
    latents = torch.randn(4, 16, 2, 4, generator=torch.Generator().manual_seed(0))
    whole, _ = one.decode(latents, None)
    first, state = one.decode(latents[:1], None)
    rest, _ = one.decode(latents[1:], state)
    assert (whole.shape, first.shape[0]) == ((13, 3, 16, 32), 1)
    torch.testing.assert_close(torch.cat([first, rest]), whole, atol=1e-5, rtol=1e-5)
    assert whole.std() > 0.01


def test_a_long_block_is_decoded_in_parts_to_the_same_frames() -> None:
    one = decoder(Geometry((16, 2, 4), 2, 16, 32, fps=16.0))
    decoded: list[int] = []
    one._vae.conv2.register_forward_hook(lambda _, inputs, __: decoded.append(inputs[0].shape[2]))
    latents = torch.randn(7, 16, 2, 4, generator=torch.Generator().manual_seed(0))
    frames, _ = one.decode(latents, None)
    assert decoded == [3, 3, 1]
    at_once, _ = one._vae.decode(latents.unsqueeze(0))
    torch.testing.assert_close(frames, at_once[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("geometry", [Geometry((8, 2, 4), 2, 16, 32, fps=16.0), Geometry((16, 2, 4), 2, 32, 64, 16.0)])
def test_a_decoder_of_another_model_is_refused(geometry: Geometry) -> None:
    with pytest.raises(ConfigError, match="choose the decoder that belongs to the model"):
        decoder(geometry)
