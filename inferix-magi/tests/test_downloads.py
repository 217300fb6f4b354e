"""A tiny model in the authors' layout, every part of it, runs from the command line: in full precision and in fp8."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from inferix_core.checkpoints import Shapes
from inferix_core.cli.application import run
from inferix_magi.checkpoints.shapes import packed_transformer_tensors, t5_tensors, transformer_tensors, vae_tensors
from inferix_magi.quantized.linear import CODES
from inferix_magi.sizes import TRANSFORMERS
from inferix_magi.text.config import T5Config
from inferix_magi.vae.config import from_official
from safetensors.torch import save_file
from torch import Tensor

sentencepiece = pytest.importorskip("sentencepiece")
pytest.importorskip("transformers")

SHAPE = TRANSFORMERS["tiny-random"]
T5 = {"d_model": SHAPE.text_dim, "d_kv": 4, "d_ff": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 40}
VAE = {
    "video_size": 32, "video_length": 8, "patch_size": 8, "patch_length": 4, "z_chans": 16, "embed_dim": 256,
    "depth": 1, "num_heads": 2, "mlp_ratio": 1,
}  # fmt: skip


def weights_of(shapes: Shapes, *, scale: float = 0.2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(shape, generator=generator) * scale for name, shape in shapes.items()}
    made |= {name: value.abs() + 0.1 for name, value in made.items() if name.endswith("_scale")}
    return {name: value.to(CODES) if f"{name}_scale" in made else value for name, value in made.items()}


def write(folder: Path, name: str, weights: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True)
    save_file(weights, folder / name)
    return folder


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Base and fp8 transformers, the VAE, T5, and the learned tokens."""
    releases = tmp_path / "ckpt" / "magi"
    base, packed = weights_of(transformer_tensors(SHAPE)), weights_of(packed_transformer_tensors(SHAPE))
    write(releases / "tiny-random_base" / "inference_weight", "model.safetensors", base)
    write(releases / "tiny-random_distill_quant" / "inference_weight.fp8.distill", "model.safetensors", packed)
    vae = tmp_path / "ckpt" / "vae"
    write(vae, "diffusion_pytorch_model.safetensors", weights_of(vae_tensors(from_official(VAE))))
    (vae / "config.json").write_text(json.dumps({"_class_name": "ViTVAE", "ddconfig": VAE}))
    shape = T5Config(dim=SHAPE.text_dim, head_dim=4, ffn_dim=8, num_heads=2, num_layers=1, vocab_size=40)
    t5 = write(tmp_path / "ckpt" / "t5" / "t5-v1_1-xxl", "model.safetensors", weights_of(t5_tensors(shape)))
    (t5 / "config.json").write_text(json.dumps(T5))
    (tmp_path / "words.txt").write_text("a red ball rolls away\nthe blue one stays\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "words.txt"), model_prefix=str(t5 / "spiece"), vocab_size=40, pad_id=0, eos_id=1, unk_id=2,
        bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    rows = np.random.default_rng(0).normal(size=(100, SHAPE.text_dim))
    np.savez(tmp_path / "special_tokens.npz", caption_token=rows[:1], logo_token=rows[1:2], other_tokens=rows)
    return tmp_path


def generated(download: Path, *settings: str, prompt: str = "a red ball") -> np.ndarray:
    output = download / "out.npy"
    files = {"model.checkpoint": download, "decoder.checkpoint": download, "decoder.weights": '"checkpoint"'}
    files |= {"model.text.special_tokens": download / "special_tokens.npz", "model.weights": '"checkpoint"'}
    given = [f"{name}={value}" for name, value in files.items()] + ['dtype="float32"', *settings]
    options = [option for setting in given for option in ("--set", setting)]
    command = ["generate", prompt, "--model", "magi", "--preset", "tiny-random", "--seconds", "1", "-o", str(output)]
    assert run([*command, *options]) == 0
    return np.load(output)


def test_a_download_runs_and_its_prompt_counts(download: Path) -> None:
    frames = generated(download)
    assert frames.shape == (24, 64, 96, 3)
    assert not np.array_equal(frames, generated(download, prompt="the blue one stays"))


def test_the_learned_tokens_count(download: Path) -> None:
    plain = generated(download, "model.text.tokens=[]", "model.text.duration=false")
    assert not np.array_equal(plain, generated(download))


def test_an_fp8_download_runs_without_fp8_hardware(download: Path) -> None:
    settings = ["model.distilled=true", 'planner.guidance="distilled"', 'quantizer.use="magi-fp8"']
    assert generated(download, *settings).std() > 0


def test_a_vae_that_does_not_fit_is_told_before_the_transformer(
    download: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vae = download / "ckpt" / "vae" / "config.json"
    vae.write_text(json.dumps({"_class_name": "ViTVAE", "ddconfig": {**VAE, "depth": 2}}))
    settings = [f"model.checkpoint={download / 'nowhere'}", f"decoder.checkpoint={download}"]
    given = [option for setting in settings for option in ("--set", setting)]
    command = ["generate", "a ball", "--model", "magi", "--preset", "tiny-random", "-o", str(download / "out.npy")]
    both = ["--set", 'model.weights="checkpoint"', "--set", 'decoder.weights="checkpoint"']
    assert run([*command, *given, *both]) == 2
    said = capsys.readouterr().err
    assert "does not fit MagiVae" in said
    assert "nowhere" not in said
