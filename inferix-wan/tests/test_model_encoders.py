"""A model finds its encoders: those it is told of, those in its folder, random ones beside random weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError, ConfigError
from inferix_core.signals import Signal
from inferix_wan.config import ImageToVideoConfig, SelfForcingConfig, WanVaeDecoderConfig
from inferix_wan.configured_model import image_model, text_model
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.image.clip import PREFIX, ClipNetwork
from inferix_wan.initialisation import initialise
from inferix_wan.planners.clip import WholeClipPlanner
from inferix_wan.planners.config import WholeClipPlannerConfig
from inferix_wan.sizes import IMAGE_ENCODERS, IMAGE_TO_VIDEO, TEXT_ENCODERS, TRANSFORMERS
from inferix_wan.text.umt5 import Umt5Network
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from loguru import logger
from safetensors.torch import save_file
from torch import Tensor, nn

tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

CPU = torch.device("cpu")
TEXT_FILE = "models_t5_umt5-xxl-enc-bf16.pth"
CLIP_FILE = "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
SMALL = {"size": "tiny-random", "height": 32, "width": 48}
WORDS = ["▁a", "▁red", "▁blue", "▁ball", *"abcdefghijklmnopqrstuvwxyz", "▁"]


def filled(module: nn.Module) -> dict[str, Tensor]:
    initialise(module, seed=3)
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def write_transformer(folder: Path, shape: TransformerConfig) -> None:
    save_file(filled(WanTransformer(shape)), folder / "diffusion_pytorch_model.safetensors")


def write_text_encoder(folder: Path) -> None:
    """Tiny weights of UMT5 and a tokenizer, as a Wan 2.1 download has them."""
    torch.save(filled(Umt5Network(TEXT_ENCODERS["tiny-random"])), folder / TEXT_FILE)
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), *((word, -9.0 / len(word)) for word in WORDS)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=2))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    tokenizer.save(str(folder / "google" / "umt5-xxl" / "tokenizer.json"))


def write_image_encoder(folder: Path) -> None:
    weights = filled(ClipNetwork(IMAGE_ENCODERS["tiny-random"]))
    torch.save({f"{PREFIX}{name}": value for name, value in weights.items()}, folder / CLIP_FILE)


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """A folder in Wan's layout, of a tiny model from text."""
    write_transformer(tmp_path, TRANSFORMERS["tiny-random"])
    write_text_encoder(tmp_path)
    return tmp_path


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="WARNING")
    yield messages
    logger.remove(sink)


def tokens(config: SelfForcingConfig, prompt: str) -> Tensor:
    model = text_model(config, device=CPU, dtype=torch.float32)
    return model.encode(Signal(prompt=prompt), None)["text"].tokens


def test_a_folder_in_wans_layout_holds_the_text_encoder_too(download: Path) -> None:
    config = SelfForcingConfig(**SMALL, checkpoint=str(download))
    one, same, other = (tokens(config, prompt) for prompt in ("a red ball", " a  red ball ", "a blue ball"))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", [TEXT_FILE, "."])
def test_files_that_are_named_are_the_same_as_those_that_are_found(download: Path, name: str, tmp_path: Path) -> None:
    found = tokens(SelfForcingConfig(**SMALL, checkpoint=str(download)), "a red ball")
    named = SelfForcingConfig(
        **SMALL,
        checkpoint=str(download / "diffusion_pytorch_model.safetensors"),
        text={"checkpoint": str(download / name)},
    )
    assert torch.equal(tokens(named, "a red ball"), found)


def test_random_weights_take_the_text_encoder_that_is_named(download: Path) -> None:
    config = SelfForcingConfig(**SMALL, weights="random")
    named = config.model_copy(update={"text": config.text.model_copy(update={"checkpoint": str(download / TEXT_FILE)})})
    assert not torch.equal(tokens(named, "a red ball"), tokens(config, "a red ball"))


def test_a_checkpoint_alone_says_which_files_are_missing_and_how_to_find_them(download: Path) -> None:
    (download / TEXT_FILE).unlink()
    with pytest.raises(ConfigError) as caught:
        text_model(SelfForcingConfig(**SMALL, checkpoint=str(download)), device=CPU, dtype=torch.float32)
    for words in ("UMT5", f"model.text.checkpoint to {TEXT_FILE}", "inferix weights check"):
        assert words in str(caught.value)


def test_a_damaged_text_encoder_is_told_before_the_transformer_is_read(download: Path) -> None:
    (download / TEXT_FILE).write_bytes((download / TEXT_FILE).read_bytes()[:500])
    with pytest.raises(CheckpointError, match=f"{TEXT_FILE}.*truncated or damaged"):
        text_model(SelfForcingConfig(**SMALL, checkpoint=str(download)), device=CPU, dtype=torch.float32)


def test_a_prompt_over_the_models_length_is_cut_with_a_warning_that_quotes_the_rest(
    download: Path, warnings: list[str]
) -> None:
    config = SelfForcingConfig(**SMALL, checkpoint=str(download))
    fits = " ".join(["a red ball"] * 2 + ["a"])  # 7 tokens and the end are the 8 that the size takes
    long = tokens(config, f"{fits} blue blue ball")
    assert len(warnings) == 1
    assert "longer than 8 tokens: its last 3 words were cut" in warnings[0]
    assert "'blue blue ball'" in warnings[0]
    assert torch.equal(long, tokens(config, fits))


def test_everything_of_an_image_model_comes_from_one_folder(tmp_path: Path) -> None:
    write_transformer(tmp_path, IMAGE_TO_VIDEO["tiny-random"])
    write_text_encoder(tmp_path)
    config = ImageToVideoConfig(**SMALL, checkpoint=str(tmp_path), max_latents=2)
    with pytest.raises(ConfigError, match=r"model\.image_checkpoint to models_clip.*weights check"):
        image_model(config, device=CPU, dtype=torch.float32)
    write_image_encoder(tmp_path)
    torch.save(filled(WanVAE(VaeConfig(base_dim=4, num_res_blocks=1))), tmp_path / "Wan2.1_VAE.pth")
    model = image_model(config, device=CPU, dtype=torch.float32)
    vae = WanVaeDecoder(
        WanVaeDecoderConfig(checkpoint=str(tmp_path), base_dim=4, num_res_blocks=1),
        geometry=model.geometry,
        device=CPU,
        dtype=torch.float32,
    )
    picture = torch.full((1, 32, 48, 3), 90, dtype=torch.uint8)
    planner = WholeClipPlanner(WholeClipPlannerConfig())
    conditions = model.encode_prefix(picture, fit="crop", encoder=vae, planner=planner).conditions
    assert conditions["image"].tokens.shape == (1, IMAGE_ENCODERS["tiny-random"].num_tokens, 48)
    beside = conditions["image_latents"].tokens.view(2, 20, 4, 6)
    pixels = torch.full((1, 3, 32, 48), 90 / 127.5 - 1.0)
    torch.testing.assert_close(beside[0, 4:], vae.encode(pixels, None)[0][0], atol=1e-4, rtol=1e-4)
