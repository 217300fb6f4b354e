"""Prompts are cut with a warning, encoded once, and their weights rest where they were told to."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from inferix_core.errors import CheckpointError, ConfigError, UnsupportedError
from inferix_core.text.cache import EmbeddingCache
from inferix_wan.initialisation import initialise
from inferix_wan.text import TextEncoderConfig, Umt5Config
from inferix_wan.text.tokenizer import Umt5Tokenizer
from inferix_wan.text.umt5 import Umt5Network
from inferix_wan.text.umt5_encoder import Umt5TextEncoder, load_text_encoder
from loguru import logger

tokenizers = pytest.importorskip("tokenizers")

CPU = torch.device("cpu")
META = torch.device("meta")
SHAPE = Umt5Config(vocab_size=40, dim=8, attention_dim=8, ffn_dim=16, num_heads=2, num_layers=2)
WORDS = ["▁a", "▁red", "▁ball", "▁rolls", "▁away", "▁", *"abcdefghijklmnopqrstuvwxyz"]


def write_tokenizer(folder: Path, *, end: str = "</s>") -> Path:
    """A Unigram tokenizer with the parts of `google/umt5-xxl`: Metaspace, and an end token behind every prompt."""
    vocab = [("<pad>", 0.0), (end, 0.0), ("<unk>", -20.0), *((word, -1.0 - len(WORDS) / len(word)) for word in WORDS)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=2))
    tokenizer.add_special_tokens(["<pad>", end, "<unk>"])
    tokenizer.normalizer = tokenizers.normalizers.NFKC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, 1)])
    tokenizer.enable_padding(length=64)  # a setting of the file's that is not ours
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="WARNING")
    yield messages
    logger.remove(sink)


def umt5() -> Umt5Network:
    pytest.importorskip("transformers")
    network = Umt5Network(SHAPE)
    initialise(network, seed=1)
    return network.requires_grad_(False)


@pytest.fixture
def encoder(tmp_path: Path) -> Umt5TextEncoder:
    tokenizer = Umt5Tokenizer(write_tokenizer(tmp_path), max_tokens=5)
    return Umt5TextEncoder(umt5(), tokenizer, device=CPU, dtype=torch.bfloat16, num_cached_prompts=2)


def test_a_prompt_ends_in_the_end_token_and_an_empty_one_is_that_alone(tmp_path: Path) -> None:
    tokenizer = Umt5Tokenizer(write_tokenizer(tmp_path))
    assert tokenizer.tokenize("a red ball") == [3, 4, 5, 1]
    assert tokenizer.tokenize("") == [1]
    assert tokenizer.vocab_size == 3 + len(WORDS)


def test_an_overlong_prompt_is_cut_with_a_warning_that_quotes_the_rest(tmp_path: Path, warnings: list[str]) -> None:
    tokenizer = Umt5Tokenizer(write_tokenizer(tmp_path), max_tokens=4)
    assert tokenizer.tokenize("a red ball") == [3, 4, 5, 1]
    assert warnings == []
    assert tokenizer.tokenize("a red ball rolls away") == [3, 4, 5, 1]
    (warning,) = warnings
    assert "longer than 4 tokens: its last 2 words were cut and have no effect: 'rolls away'" in warning


def test_a_very_long_rest_is_quoted_in_part(tmp_path: Path, warnings: list[str]) -> None:
    Umt5Tokenizer(write_tokenizer(tmp_path), max_tokens=4).tokenize("a red ball" + " rolls away" * 5000)
    (warning,) = warnings
    assert "last 10000 words" in warning
    assert "rolls away rolls" in warning
    assert len(warning) < 700


def test_a_folder_that_is_no_tokenizer_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        Umt5Tokenizer(tmp_path / "absent")
    (tmp_path / "spiece.model").touch()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json, but spiece\.model\. Give the folder google"):
        Umt5Tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="damaged or no tokenizer"):
        Umt5Tokenizer(tmp_path)


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not end prompts with '</s>'"):
        Umt5Tokenizer(write_tokenizer(tmp_path, end="[SEP]"))


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tokenizer(tmp_path)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'inferix-wan\[text\]'"):
        Umt5Tokenizer(folder)


def test_the_cache_keeps_the_latest_prompts_and_counts() -> None:
    cache = EmbeddingCache(2)
    made = []

    def encode(text: str) -> torch.Tensor:
        made.append(text)
        return torch.zeros(1)

    for text in ["a", "b", "a", "c", "a", "b"]:
        cache.get(text, lambda text=text: encode(text))
    assert made == ["a", "b", "c", "b"]
    assert (cache.num_hits, cache.num_misses, len(cache)) == (2, 4, 2)
    cache.clear()
    assert len(cache) == 0


def test_a_cache_of_size_0_keeps_nothing() -> None:
    cache = EmbeddingCache(0)
    first, second = (cache.get("a", lambda: torch.zeros(1)) for _ in range(2))
    assert first is not second
    assert len(cache) == 0


def test_a_prompt_becomes_one_row_for_each_token_in_the_models_dtype(encoder: Umt5TextEncoder) -> None:
    embeddings = encoder.encode("a red ball")
    assert embeddings.shape == (4, SHAPE.dim)
    assert embeddings.dtype is torch.bfloat16
    assert encoder.encode("").shape == (1, SHAPE.dim)
    assert not torch.equal(embeddings, encoder.encode("a red rolls"))


def test_prompts_that_differ_in_spaces_alone_are_encoded_once(encoder: Umt5TextEncoder) -> None:
    assert encoder.encode("a red ball") is encoder.encode("  a\n red&#32;ball ")
    assert (encoder.cache.num_hits, encoder.cache.num_misses) == (1, 1)


def test_what_is_cut_from_a_prompt_does_not_change_its_embeddings(encoder: Umt5TextEncoder) -> None:
    assert torch.equal(encoder.encode("a red ball rolls away"), encoder.encode("a red ball rolls"))


def test_weights_that_rest_elsewhere_are_lent_to_the_compute_device_and_stay(tmp_path: Path) -> None:
    network = umt5()
    before = {name: value.clone() for name, value in network.named_parameters()}
    tokenizer = Umt5Tokenizer(write_tokenizer(tmp_path))
    encoder = Umt5TextEncoder(network, tokenizer, device=META, dtype=torch.float32, compute_device=META)
    assert encoder.encode("a red ball").device == META
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    small = Umt5Network(Umt5Config(vocab_size=20, dim=8, attention_dim=8, ffn_dim=16, num_heads=2, num_layers=1))
    tokenizer = Umt5Tokenizer(write_tokenizer(tmp_path))
    with pytest.raises(CheckpointError, match="has 35 tokens, but the text encoder knows 20"):
        Umt5TextEncoder(small, tokenizer, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("beside", ["google/umt5-xxl", "tokenizer"])
def test_an_encoder_loads_with_the_tokenizer_beside_its_weights(tmp_path: Path, beside: str) -> None:
    network = umt5()
    torch.save(network.state_dict(), tmp_path / "umt5.pth")
    config = TextEncoderConfig(checkpoint=str(tmp_path / "umt5.pth"))
    with pytest.raises(ConfigError, match=r"no tokenizer is given, and .* has no folder google/umt5-xxl or tokenizer"):
        load_text_encoder(config, device=CPU, dtype=torch.float32, shape=SHAPE)
    write_tokenizer(tmp_path / beside)
    encoder = load_text_encoder(
        config, device=CPU, dtype=torch.float32, weights_dtype=torch.float32, shape=SHAPE, max_tokens=4
    )
    assert torch.equal(encoder.encode("a red ball rolls"), network(torch.tensor([[3, 4, 5, 1]]))[0])


def test_a_missing_checkpoint_or_device_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"Set model\.text\.checkpoint to models_t5_umt5-xxl-enc-bf16\.pth"):
        load_text_encoder(TextEncoderConfig(), device=CPU, dtype=torch.float32)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = TextEncoderConfig(checkpoint="absent.pth", tokenizer=str(write_tokenizer(tmp_path)), device="cuda")
    with pytest.raises(ConfigError, match='use "auto" or "cpu"'):
        load_text_encoder(config, device=CPU, dtype=torch.float32)
