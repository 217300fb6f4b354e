"""Worlds go on from a picture or a video: fitted to the model, encoded as its own beginning, shown without a seam."""

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from inferix_core.contracts.scheduler import Planner
from inferix_core.errors import ConfigError, PlanError
from inferix_core.pictures import fitted_frames
from inferix_core.plan import Geometry
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.frames import to_uint8
from inferix_core.testing.toy_engine import toy_engine
from inferix_wan.config import FewStepSolverConfig, SelfForcingConfig, SelfForcingPlannerConfig, WanVaeDecoderConfig
from inferix_wan.configured_model import text_model
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.model import WanModel
from inferix_wan.planners.causvid import CausVidPlanner
from inferix_wan.planners.clip import WholeClipPlanner
from inferix_wan.planners.config import CausVidPlannerConfig, GuidedBlocksPlannerConfig, WholeClipPlannerConfig
from inferix_wan.planners.guided_blocks import GuidedBlocksPlanner
from inferix_wan.planners.self_forcing import SelfForcingPlanner
from inferix_wan.prefix import encoded, prefix_latents
from inferix_wan.solvers.few_step import FewStepSolver
from loguru import logger
from torch import Tensor

CPU = torch.device("cpu")


@pytest.fixture
def log() -> Iterator[list[str]]:
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="INFO")
    yield messages
    logger.remove(sink)


def video(num_frames: int, *, height: int = 32, width: int = 48, seed: int = 0) -> Tensor:
    """[T, h, w, 3] uint8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_frames, height, width, 3), dtype=torch.uint8, generator=generator)


@cache
def model() -> WanModel:
    config = SelfForcingConfig(size="tiny-random", weights="random", height=32, width=48)
    return text_model(config, device=CPU, dtype=torch.float32)


@cache
def decoder() -> WanVaeDecoder:
    config = WanVaeDecoderConfig(weights="random", base_dim=4, num_res_blocks=1)
    return WanVaeDecoder(config, geometry=model().geometry, device=CPU, dtype=torch.float32)


def blocks(*, independent: bool = False) -> SelfForcingPlanner:
    return SelfForcingPlanner(SelfForcingPlannerConfig(independent_first_latent=independent))


def latents_of(frames: Tensor, planner: Planner) -> Tensor:
    prefix = model().encode_prefix(frames, fit="crop", encoder=decoder(), planner=planner)
    assert prefix.latents is not None
    assert not prefix.conditions
    return prefix.latents


def whole(frames: Tensor) -> Tensor:
    """The latents of all frames in one call of the encoder."""
    pixels = frames.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return decoder().encode(pixels, None)[0]


def engine(planner: Planner) -> Engine:
    return toy_engine(model=model(), planner=planner, solver=FewStepSolver(FewStepSolverConfig()), decoder=decoder())


@pytest.mark.parametrize(
    ("planner", "num_frames", "num_used", "num_latents"),
    [
        (blocks(), 9, 9, 3),
        (blocks(), 20, 9, 3),
        (blocks(), 21, 21, 6),
        (blocks(independent=True), 1, 1, 1),
        (blocks(independent=True), 13, 13, 4),
        (blocks(independent=True), 12, 1, 1),
        (CausVidPlanner(CausVidPlannerConfig()), 21, 21, 6),
        (GuidedBlocksPlanner(GuidedBlocksPlannerConfig(num_block_latents=2)), 7, 5, 2),
    ],
)
def test_a_video_becomes_as_many_whole_blocks_as_its_last_frames_fill(
    planner: Planner, num_frames: int, num_used: int, num_latents: int, log: list[str]
) -> None:
    frames = video(num_frames)
    latents = latents_of(frames, planner)
    assert latents.shape == (num_latents, *model().geometry.latent_shape)
    torch.testing.assert_close(latents, whole(frames[-num_used:]), atol=1e-4, rtol=1e-4)
    told = [message for message in log if f"Of the {num_frames} frames given, the last {num_used} " in message]
    assert len(told) == (num_used < num_frames)


@pytest.mark.parametrize("num_frames", [1, 4])
def test_what_is_too_short_for_a_block_is_led_by_its_first_frame(num_frames: int, log: list[str]) -> None:
    frames = video(num_frames)
    filled = torch.cat([frames[:1].expand(9 - num_frames, -1, -1, -1), frames])
    torch.testing.assert_close(latents_of(frames, blocks()), whole(filled), atol=1e-4, rtol=1e-4)
    assert any("first block has 9 frames: the first frame is repeated" in message for message in log)


def test_encoding_latent_by_latent_is_encoding_at_once() -> None:
    frames = fitted_frames(video(15), height=32, width=48, fit="crop")
    piecewise = encoded(frames, encoder=decoder(), geometry=model().geometry)
    torch.testing.assert_close(piecewise, whole(video(15)), atol=1e-4, rtol=1e-4)
    assert len(piecewise) == 4  # the last two frames fill no latent


@pytest.mark.parametrize(("independent", "num_frames"), [(False, 21), (True, 13)])
def test_a_world_shows_its_prefix_as_the_vae_does_and_goes_on_without_a_seam(
    independent: bool, num_frames: int
) -> None:
    planner = blocks(independent=independent)
    prefix = latents_of(video(num_frames), planner)
    world = engine(planner).create_world("a ball", prefix=prefix)
    made: list[Tensor] = []
    generated: list[Tensor] = []
    while sum(map(len, made)) < num_frames + 24:
        block = world.step()
        made.append(block.frames)
        generated += [world.state.committed[latent] for latent in block.latents]
    shown = torch.cat(made)
    by_vae = to_uint8(decoder().decode(prefix, None)[0])
    assert within_rounding(shown[:num_frames], by_vae)
    assert torch.equal(torch.stack(generated)[: len(prefix)], prefix)
    stream = to_uint8(decoder().decode(torch.stack(generated), None)[0])
    assert within_rounding(shown, stream)
    started_anew = to_uint8(decoder().decode(torch.stack(generated)[len(prefix) :], None)[0])
    assert not within_rounding(shown[-len(started_anew) :], started_anew)


def test_what_follows_depends_on_the_prefix() -> None:
    following = []
    for seed in (0, 1):
        world = engine(blocks()).create_world("a ball", prefix=latents_of(video(9, seed=seed), blocks()))
        world.step()
        world.step()
        following.append(torch.stack([world.state.committed[latent] for latent in range(3, 6)]))
    assert not torch.allclose(*following, atol=1e-3)


def test_a_model_of_whole_clips_continues_nothing_and_says_so() -> None:
    planner = WholeClipPlanner(WholeClipPlannerConfig(num_latents=3, num_steps=2))
    with pytest.raises(PlanError, match="continues none: leave the prefix out, or use a causal model"):
        engine(planner).create_world("a ball", prefix=latents_of(video(9), planner))


def test_frames_of_the_models_size_are_not_resampled() -> None:
    frames = video(2)
    fitted = fitted_frames(frames, height=32, width=48, fit="crop")
    assert torch.equal(to_uint8(fitted), frames)
    assert torch.equal(fitted_frames(frames, height=32, width=48, fit="pad"), fitted)


def test_cropping_cuts_the_sides_and_padding_lays_black_bars() -> None:
    frames = torch.full((1, 32, 96, 3), 200, dtype=torch.uint8)
    frames[:, :, :24] = 0  # what lies beyond the crop
    frames[:, :, 72:] = 0
    cropped, padded = (to_uint8(fitted_frames(frames, height=32, width=48, fit=fit))[0] for fit in ("crop", "pad"))
    assert bool((cropped == 200).all())
    assert bool((padded[:8] == 0).all())
    assert bool((padded[24:] == 0).all())
    assert bool((padded[10:22, 16:32] == 200).all())


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(31, 47), (200, 50), (7, 300), (1, 1)])
def test_frames_of_every_size_and_aspect_come_out_in_the_models(fit: str, size: tuple[int, int]) -> None:
    fitted = fitted_frames(video(2, height=size[0], width=size[1]), height=48, width=32, fit=fit)
    assert fitted.shape == (2, 3, 48, 32)
    assert float(fitted.abs().max()) <= 1.0


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros(2, 3, 32, 48, dtype=torch.uint8),
        torch.zeros(2, 32, 48, 3),
        torch.zeros(32, 48, 3, dtype=torch.uint8),
        torch.zeros(0, 32, 48, 3, dtype=torch.uint8),
    ],
)
def test_what_are_no_frames_is_told_with_what_is_accepted(frames: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"uint8 \[frames, height, width, 3\] is accepted"):
        model().encode_prefix(frames, fit="crop", encoder=decoder(), planner=blocks())


def test_an_unknown_fit_is_told() -> None:
    with pytest.raises(ConfigError, match=r"by 'squeeze': use 'crop' .* 'pad' .* or 'stretch'"):
        fitted_frames(video(1), height=32, width=48, fit="squeeze")


def within_rounding(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and int((one.int() - other.int()).abs().max()) <= 1


class Recorder:
    """An encoder that writes down how many frames it is given at a time."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def encode(self, frames: Tensor, state: object) -> tuple[Tensor, object]:
        self.lengths.append(len(frames))
        return frames.new_zeros(1, 16, 4, 6), state


def test_a_long_video_is_encoded_one_latent_at_a_time() -> None:
    recorder, geometry = Recorder(), Geometry((16, 4, 6), 6, 32, 48, fps=16.0)
    prefix_latents(torch.zeros(21, 3, 32, 48), encoder=recorder, planner=blocks(), geometry=geometry)
    assert recorder.lengths == [1, 4, 4, 4, 4, 4]
