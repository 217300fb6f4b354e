"""Captions are cleaned as in training, cut into T5's tokens and encoded; learned tokens come from the authors' file."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from inferix_core.errors import CheckpointError, ConfigError, UnsupportedError
from inferix_core.initialisation import initialise
from inferix_magi.config import MagiModelConfig
from inferix_magi.encoders import special_tokens_of, text_encoder_of
from inferix_magi.text.building import load_text_encoder
from inferix_magi.text.cleaning import clean_caption
from inferix_magi.text.config import MagiTextConfig, T5Config
from inferix_magi.text.special_tokens import load_special_tokens
from inferix_magi.text.t5 import T5Network
from inferix_magi.text.tokenizer import SentencePieceTokenizer, t5_tokenizer
from loguru import logger

tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

CPU = torch.device("cpu")
SHAPE = T5Config(vocab_size=40, dim=8, head_dim=4, ffn_dim=12, num_heads=2, num_layers=2)
WORDS = ["▁a", "▁red", "▁ball", "▁rolls", "▁away", "▁", *"abcdefghijklmnopqrstuvwxyz"]


def write_tokenizer(folder: Path) -> Path:
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    vocab += [(word, -1.0 - len(WORDS) / len(word)) for word in WORDS]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=2))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_t5(folder: Path) -> T5Network:
    """The folder t5-v1_1-xxl with tiny weights, as torch shards under both names of the token table."""
    write_tokenizer(folder)
    network = T5Network(SHAPE)
    initialise(network, seed=1)
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    state["shared.weight"] = state.pop("encoder.embed_tokens.weight")
    state["decoder.final_layer_norm.weight"] = torch.ones(8)  # the files of the whole T5 have more than its encoder
    names = sorted(state)
    for part in (1, 2):
        torch.save(
            {name: state[name] for name in names[part - 1 :: 2]}, folder / f"pytorch_model-0000{part}-of-00002.bin"
        )
    described = {"d_model": 8, "d_kv": 4, "d_ff": 12, "num_heads": 2, "num_layers": 2, "vocab_size": 40}
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", **described}))
    return network.requires_grad_(False)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="WARNING")
    yield messages
    logger.remove(sink)


@pytest.mark.parametrize("place", ["", "t5/t5-v1_1-xxl", "ckpt/t5"])
def test_a_prompt_is_cleaned_and_encoded_by_the_files_of_a_download(tmp_path: Path, place: str) -> None:
    network = write_t5(tmp_path / place if place else tmp_path)
    config = MagiTextConfig(checkpoint=None if place else str(tmp_path))
    encoder = load_text_encoder(config, beside=str(tmp_path), device=CPU, dtype=torch.float32, text_dim=8, max_tokens=8)
    ids = torch.tensor([[3, 4, 5, 1]])
    assert torch.allclose(encoder.encode("  A RED <b>ball</b>"), network(ids)[0], atol=1e-6)
    assert encoder.encode("").shape == (1, 8)
    assert encoder.cache.num_misses == 2


def test_t5_runs_in_the_configured_precision(tmp_path: Path) -> None:
    write_t5(tmp_path)
    made = [
        load_text_encoder(
            MagiTextConfig(checkpoint=str(tmp_path), precision=precision),
            beside=None,
            device=CPU,
            dtype=torch.float32,
            text_dim=8,
            max_tokens=8,
        ).encode("a red ball")
        for precision in ("float32", "bfloat16")
    ]
    assert 0 < float((made[0] - made[1]).abs().max()) < 0.1


def test_embeddings_of_another_width_are_refused(tmp_path: Path) -> None:
    write_t5(tmp_path)
    config = MagiModelConfig(checkpoint="x", text=MagiTextConfig(checkpoint=str(tmp_path)))
    with pytest.raises(CheckpointError, match="makes embeddings of 8, but the model reads 4096"):
        text_encoder_of(config, device=CPU)


def test_missing_files_are_asked_for(tmp_path: Path) -> None:
    config = MagiModelConfig(checkpoint=str(tmp_path))
    with pytest.raises(ConfigError, match=r"T5 text encoder is needed, .* Set model\.text\.checkpoint"):
        text_encoder_of(config, device=CPU)
    (tmp_path / "t5").mkdir()
    with pytest.raises(CheckpointError, match=r"The tokenizer '.*t5' has no tokenizer\.json, but nothing"):
        text_encoder_of(config, device=CPU)


def test_random_weights_come_with_a_random_encoder_and_no_learned_tokens() -> None:
    config = MagiModelConfig(weights="random", size="tiny-random")
    assert text_encoder_of(config, device=CPU).encode("a red ball").shape == (3, 16)
    assert special_tokens_of(config) is None


def test_sentencepiece_files_are_read_too(tmp_path: Path, warnings: list[str]) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "words.txt").write_text("a red ball rolls away\na blue ball stays here\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "words.txt"),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=40,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    tokenizer = t5_tokenizer(tmp_path, max_tokens=3)
    assert isinstance(tokenizer, SentencePieceTokenizer)
    assert tokenizer.tokenize("") == [1]
    ids = tokenizer.tokenize("a red ball rolls away")
    assert (len(ids), ids[-1]) == (3, 1)
    assert "longer than 3 tokens" in warnings[0]
    (tmp_path / "spiece.model").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"spiece\.model' is damaged or no tokenizer"):
        t5_tokenizer(tmp_path, max_tokens=3)


def test_what_reads_the_tokenizer_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spiece.model").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'inferix-magi\[text\]'"):
        t5_tokenizer(tmp_path, max_tokens=3)


@pytest.mark.parametrize(
    ("caption", "cleaned"),
    [
        ("A Cat &amp; a DOG, on https://x.com/y", "a cat a dog, on"),
        ("x <script>y</script> <![CDATA[z]]> w", "x z w"),
        ("the size is 10x20", "the size is"),
        ("one_two_three_four_five", "one two three four five"),
        ("a-b_c", "a-b_c"),
        ("“quoted”", "quoted"),
        ("", ""),
    ],
)
def test_a_caption_loses_markup_addresses_and_advertisements(caption: str, cleaned: str) -> None:
    assert clean_caption(caption) == cleaned


def write_special_tokens(path: Path, **arrays: np.ndarray) -> Path:
    rows = np.arange(100, dtype=np.float64)[:, None] * np.ones((1, 4))
    np.savez(path, **{"caption_token": rows[:1] + 200, "logo_token": rows[:1] + 201, "other_tokens": rows, **arrays})
    return path


def test_learned_tokens_stand_in_the_original_order(tmp_path: Path) -> None:
    file = write_special_tokens(tmp_path / "special_tokens.npz")
    tokens = ("static-start", "high-quality", "2d-anime")
    made = load_special_tokens(MagiTextConfig(special_tokens=str(file), tokens=tokens, negative_tokens=True))
    assert made is not None
    assert made.leading[:, 0].tolist() == [16.0, 1.0, 2.0]
    assert made.durations[:, 0].tolist() == [7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]
    assert made.negative[:, 0].tolist() == [4.0, 0.0, 201.0, 200.0]
    assert made.leading.dtype == torch.float16


def test_learned_tokens_may_be_left_out_and_their_file_must_be_given() -> None:
    assert load_special_tokens(MagiTextConfig(tokens=(), duration=False)) is None
    with pytest.raises(ConfigError, match=r"Set model\.text\.special_tokens to special_tokens\.npz"):
        load_special_tokens(MagiTextConfig())


def test_a_file_of_other_arrays_is_refused(tmp_path: Path) -> None:
    file = write_special_tokens(tmp_path / "short.npz", other_tokens=np.zeros((3, 4)))
    with pytest.raises(CheckpointError, match="lacks rows of other_tokens"):
        load_special_tokens(MagiTextConfig(special_tokens=str(file)))
    file.write_bytes(b"no arrays")
    with pytest.raises(CheckpointError, match="damaged or no file of arrays"):
        load_special_tokens(MagiTextConfig(special_tokens=str(file)))
    with pytest.raises(CheckpointError, match="does not exist"):
        load_special_tokens(MagiTextConfig(special_tokens=str(tmp_path / "absent.npz")))
