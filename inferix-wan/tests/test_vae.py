"""The VAE equals the official one, and streaming never changes what is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from safetensors.torch import load_file
from torch import Tensor

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "wan"
TINY = VaeConfig(base_dim=4, num_res_blocks=1)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


class Case:
    def __init__(self, name: str) -> None:
        cases = json.loads((GOLDEN / "index.json").read_text())["cases"]
        self.entry: dict[str, Any] = next(case for case in cases if case["name"] == name)
        self.tensors = load_file(GOLDEN / self.entry["file"])
        made = self.entry["constructor"]
        fields: dict[str, Any] = {
            "base_dim": made["dim"],
            "latent_dim": made["z_dim"],
            "dim_mult": tuple(made["dim_mult"]),
            "num_res_blocks": made["num_res_blocks"],
            "temporal_downsample": tuple(made["temperal_downsample"]),
        }
        if "in.mean" in self.tensors:
            fields["latent_mean"] = tuple(self.tensors["in.mean"].tolist())
            fields["latent_std"] = tuple(self.tensors["in.std"].tolist())
        self.vae = WanVAE(VaeConfig(**fields))
        weights = {key[3:]: value for key, value in self.tensors.items() if key.startswith("sd.")}
        self.vae.load_state_dict(weights, strict=True)

    def check(self, output: str, got: Tensor) -> None:
        tolerance = self.entry["tolerance"]
        atol = tolerance["atol_per_output"].get(output, tolerance["atol"])
        torch.testing.assert_close(got, self.tensors[f"out.{output}"], atol=atol, rtol=tolerance["rtol"])


@pytest.fixture(scope="module")
def tiny() -> WanVAE:
    torch.manual_seed(0)
    return WanVAE(TINY).eval()


def in_pieces(step, values: Tensor, sizes: list[int]) -> Tensor:
    state, outputs, first = None, [], 0
    for size in sizes:
        output, state = step(values[:, first : first + size], state)
        outputs.append(output)
        first += size
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("name", ["wan21_vae_d4z16", "wan21_vae_d4z4", "wan21_vae_eps"])
def test_latents_and_frames_equal_the_official_ones(name):
    case = Case(name)
    for index in range(3):
        if f"in.enc{index}.video" in case.tensors:
            video = case.tensors[f"in.enc{index}.video"].transpose(1, 2)
            case.check(f"enc{index}.latent", case.vae.encode(video)[0].transpose(1, 2))
        if f"in.dec{index}.latent" in case.tensors:
            latent = case.tensors[f"in.dec{index}.latent"].transpose(1, 2)
            case.check(f"dec{index}.video", case.vae.decode_unclamped(latent)[0].transpose(1, 2))


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [3, 3, 1], [1, 3, 2, 1]])
def test_streamed_frames_equal_the_official_ones_whatever_the_block_size(sizes):
    case = Case("sf_vae_stream")
    case.check("full", in_pieces(case.vae.decode, case.tensors["in.latent"], sizes))


def test_the_state_holds_what_the_official_caches_hold():
    case = Case("sf_vae_stream")
    _, state = case.vae.decode(case.tensors["in.latent"])
    assert len(state) == 32
    for slot, held in enumerate(state):
        case.check(f"cache{slot}", held)


def test_a_batch_is_encoded_as_the_official_encoder_does():
    case = Case("sf_vae_stream")
    case.check("encoded", case.vae.encode(case.tensors["in.pixel"].transpose(1, 2))[0])


def test_21_latents_make_81_frames_in_any_blocks(tiny):
    latents = torch.randn(1, 21, 16, 2, 2)
    whole, _ = tiny.decode(latents)
    assert whole.shape == (1, 81, 3, 16, 16)
    assert TINY.num_frames(21) == 81
    for size in (1, 3, 7):
        torch.testing.assert_close(in_pieces(tiny.decode, latents, [size] * (21 // size)), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [[9, 12], [1] * 21, [2, 5, 8, 6], [4, 17]])
def test_frames_encoded_in_any_pieces_make_the_same_latents(tiny, sizes):
    frames = torch.rand(1, 21, 3, 16, 16) * 2 - 1
    whole, _ = tiny.encode(frames)
    assert whole.shape == (1, 6, 16, 2, 2)
    torch.testing.assert_close(in_pieces(tiny.encode, frames, sizes), whole, atol=1e-5, rtol=1e-5)


def test_forks_may_share_a_state_because_it_is_never_modified(tiny):
    _, state = tiny.decode(torch.randn(1, 2, 16, 2, 2))
    before = [held.clone() for held in state]
    left, right = torch.randn(1, 1, 16, 2, 2), torch.randn(1, 1, 16, 2, 2)
    first, _ = tiny.decode(left, state)
    tiny.decode(right, state)
    again, _ = tiny.decode(left, state)
    assert torch.equal(first, again)
    assert all(torch.equal(held, old) for held, old in zip(state, before, strict=True))


def test_the_state_does_not_keep_whole_activations_alive(tiny):
    _, state = tiny.decode(torch.randn(1, 9, 16, 2, 2))
    assert all(held.untyped_storage().nbytes() == held.numel() * held.element_size() for held in state)


def test_the_state_matters(tiny):
    latents = torch.randn(1, 4, 16, 2, 2)
    continued = in_pieces(tiny.decode, latents, [3, 1])[:, -4:]
    begun_anew, _ = tiny.decode(latents[:, 3:])
    assert begun_anew.shape[1] == 1
    assert not torch.allclose(continued[:, -1:], begun_anew, atol=1e-3)


def test_bf16_follows_fp32(tiny):
    latents = torch.randn(1, 3, 16, 4, 4)
    exact, _ = tiny.decode(latents)
    fast = WanVAE(TINY)
    fast.load_state_dict(tiny.state_dict())
    got, _ = fast.bfloat16().use_channels_last().decode(latents)
    assert got.dtype == torch.float32
    assert (got - exact).abs().mean() < 0.02
    assert exact.abs().mean() > 0.1


def test_a_wrong_number_of_channels_says_what_is_accepted(tiny):
    with pytest.raises(ValueError, match=r"16 channels.*\[1, 3, 4, 2, 2\]"):
        tiny.decode(torch.zeros(1, 3, 4, 2, 2))
    with pytest.raises(ValueError, match=r"3 channels"):
        tiny.encode(torch.zeros(1, 1, 4, 16, 16))


def test_a_size_that_is_no_multiple_of_the_stride_is_refused(tiny):
    with pytest.raises(ValueError, match="multiples of 8"):
        tiny.encode(torch.zeros(1, 1, 3, 20, 16))


def test_a_config_whose_lengths_disagree_is_refused():
    with pytest.raises(ValueError, match="4 latent channels"):
        VaeConfig(latent_dim=4)
    with pytest.raises(ValueError, match="halvings"):
        VaeConfig(temporal_downsample=(True,))
