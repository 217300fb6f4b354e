"""Every model's presets are made of what there is, and their smallest ones make videos on a CPU in seconds."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
from inferix_core.configuration.merging import merge
from inferix_core.errors import ConfigError, SignalError
from inferix_core.events import Block
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.frames import to_uint8
from inferix_core.runtime.world import World
from inferix_core.signals import Signal
from inferix_core.specs import ModelSpec, Spec
from inferix_wan import plugin
from inferix_wan.config import ImageToVideoConfig, WanModelConfig
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.geometry import wan_geometry
from inferix_wan.model import WanModel
from inferix_wan.prefix import Prefix
from inferix_wan.sizes import IMAGE_ENCODERS, TEXT_ENCODERS
from inferix_wan.transformer.transformer import WanTransformer
from torch import Tensor

MODELS = {spec.name: spec for spec in plugin.inferix_models()}
PRESETS = [(spec, preset) for spec in MODELS.values() for preset in spec.presets]
IDS = [f"{spec.name}-{preset}" for spec, preset in PRESETS]
CAUSAL = ["self-forcing", "self-forcing-diffusion", "causvid"]
GUIDED = ["self-forcing-diffusion", "wan-t2v", "wan-i2v"]
NUM_WEIGHTS = {
    ("self-forcing", "1.3B"): 1_418_996_800,
    ("self-forcing-diffusion", "1.3B"): 1_418_996_800,
    ("causvid", "1.3B"): 1_418_996_800,
    ("wan-t2v", "1.3B"): 1_418_996_800,
    ("wan-t2v", "14B"): 14_288_491_584,
    ("wan-t2v", "14B-720p"): 14_288_491_584,
    ("wan-i2v", "14B"): 16_394_878_784,
    ("wan-i2v", "14B-720p"): 16_394_878_784,
}


def merged(spec: ModelSpec, preset: str) -> Mapping[str, Any]:
    return merge(spec.preset, spec.presets[preset])


def model_config(spec: ModelSpec, preset: str) -> WanModelConfig:
    config = spec.config.model_validate(merged(spec, preset).get("model", {}))
    assert isinstance(config, WanModelConfig)
    return config


@pytest.mark.parametrize(("spec", "preset"), PRESETS, ids=IDS)
def test_a_preset_is_valid_for_the_components_that_it_names(spec: ModelSpec, preset: str) -> None:
    kinds: Mapping[str, Iterable[Spec]] = {
        "planner": plugin.inferix_schedulers(),
        "solver": plugin.inferix_solvers(),
        "decoder": plugin.inferix_decoders(),
    }
    for section, specs in kinds.items():
        settings = dict(merged(spec, preset)[section])
        name = settings.pop("use")
        (component,) = (component for component in specs if component.name == name)
        component.config.model_validate(settings)


@pytest.mark.parametrize(("spec", "preset"), PRESETS, ids=IDS)
def test_the_networks_of_a_preset_fit_each_other(spec: ModelSpec, preset: str) -> None:
    config = model_config(spec, preset)
    assert TEXT_ENCODERS[config.size].dim == config.dimensions.text_dim
    if isinstance(config, ImageToVideoConfig):
        assert IMAGE_ENCODERS[config.size].dim == config.dimensions.image_dim
    geometry = wan_geometry(config.dimensions, height=config.height, width=config.width, fps=config.fps)
    assert (geometry.frame_height, geometry.frame_width) == (config.height, config.width)


@pytest.mark.parametrize(("name", "preset"), NUM_WEIGHTS)
def test_a_true_size_has_as_many_weights_as_the_official_network(name: str, preset: str) -> None:
    with torch.device("meta"):
        transformer = WanTransformer(model_config(MODELS[name], preset).dimensions)
    assert sum(weight.numel() for weight in transformer.parameters()) == NUM_WEIGHTS[name, preset]


def test_the_true_sizes_take_checkpoints_unless_told_otherwise() -> None:
    for name, preset in NUM_WEIGHTS:
        assert model_config(MODELS[name], preset).weights == "checkpoint"


def test_every_model_has_a_smoke_test_and_a_true_size() -> None:
    for name, spec in MODELS.items():
        assert "tiny-random" in spec.presets
        assert any((name, preset) in NUM_WEIGHTS for preset in spec.presets)


def engine(name: str, **model: Any) -> Engine:
    """The preset `tiny-random` in float32, in the smallest frames, and clips of 5 latents."""
    settings = {"preset": "tiny-random", "height": 32, "width": 48, **model}
    planner = {} if name in CAUSAL else {"num_latents": 5}
    return Engine.load(name, config={"model": settings, "planner": planner, "dtype": "float32", "device": "cpu"})


def world(name: str, *, prompt: str = "a red ball", picture: int = 0, **model: Any) -> World:
    """A world of the smallest preset, which begins with a picture (its seed is given) where the model needs one."""
    loaded = engine(name, **model)
    conditions = None
    if name == "wan-i2v":
        generator = torch.Generator().manual_seed(picture)
        pixels = torch.randint(0, 256, (1, 40, 40, 3), dtype=torch.uint8, generator=generator)
        conditions = begun(loaded, pixels).conditions
    return loaded.create_world(prompt, seed=1, conditions=conditions)


def begun(loaded: Engine, frames: Tensor) -> Prefix:
    """What the engine asks the model for where a world begins with frames."""
    assert isinstance(loaded.parts.model, WanModel)
    assert isinstance(loaded.decoder, WanVaeDecoder)
    planner = loaded.parts.planner
    return loaded.parts.model.encode_prefix(frames, fit="crop", encoder=loaded.decoder, planner=planner)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(32, 48), (48, 32)])
def test_the_smallest_preset_makes_frames_in_landscape_and_portrait(name: str, size: tuple[int, int]) -> None:
    height, width = size
    block = world(name, height=height, width=width).step()
    assert block.frames.shape == (9 if name in CAUSAL else 17, height, width, 3)
    assert float(block.frames.float().std()) > 1.0


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_preset_has_room_for_the_video_that_is_made_when_no_length_is_given(name: str) -> None:
    made = Engine.load(name, config={"model": {"preset": "tiny-random"}})
    with Engine(made.parts, made.decoder).create_world("a red ball") as one:
        one.run(seconds=5)  # raises at once where it cannot be


@pytest.mark.parametrize("name", MODELS)
def test_the_prompt_matters(name: str) -> None:
    one, other = (world(name, prompt=prompt).step().frames for prompt in ("a red ball", "a blue box"))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", MODELS)
def test_the_negative_prompt_matters_where_there_is_guidance_and_there_alone(name: str) -> None:
    one, other = (world(name, negative_prompt=negative).step().frames for negative in ("blurred", "a dog"))
    assert torch.equal(one, other) is (name not in GUIDED)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_change_of_prompt_reaches_the_next_block_and_no_earlier_one(name: str) -> None:
    def blocks(signal: Signal | None) -> list[Block]:
        made = world(name)
        return [made.step(), made.step(signal)]

    same, changed = blocks(None), blocks(Signal(prompt="a blue box"))
    assert torch.equal(same[0].frames, changed[0].frames)
    assert not torch.equal(same[1].frames, changed[1].frames)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("num_frames", [1, 9, 25])
def test_a_causal_model_goes_on_from_a_picture_or_a_video(name: str, num_frames: int) -> None:
    loaded = engine(name)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (num_frames, 40, 40, 3), dtype=torch.uint8, generator=generator)
    prefix = begun(loaded, frames).latents
    assert prefix is not None
    made = loaded.create_world("a red ball", seed=1, prefix=prefix)
    shown = torch.cat([made.step().frames for _ in range(len(prefix) // 3 + 1)])
    by_vae = to_uint8(loaded.decoder.decode(prefix, None)[0])
    assert int((shown[: len(by_vae)].int() - by_vae.int()).abs().max()) <= 1
    assert len(shown) == len(by_vae) + 12


def test_causvid_goes_on_past_its_rollouts() -> None:
    made = world("causvid")
    frames = [made.step().frames for _ in range(15)]
    assert [len(one) for one in frames] == [9, *[12] * 14]
    assert made.state.caches["main"].held == tuple(range(36, 45))  # two blocks after the second restart, and the carry


def test_the_picture_matters() -> None:
    one, other = (world("wan-i2v", picture=seed).step().frames for seed in (0, 1))
    assert not torch.equal(one, other)


def test_a_clip_from_a_picture_without_one_says_what_is_missing() -> None:
    made = engine("wan-i2v")
    with pytest.raises(SignalError, match="'wan-i2v' begins with a picture, but was given none: use --image"):
        made.create_world("a red ball")
    bare = Engine(made.parts, made.decoder).create_world("a red ball")
    with pytest.raises(SignalError, match="the world was given none: use --image"):
        bare.step()


def test_a_clip_longer_than_its_pictures_parts_says_what_to_set() -> None:
    made = world("wan-i2v", max_latents=4)
    with pytest.raises(ConfigError, match=r"has 5 latents, but .* for 4: set model\.max_latents"):
        made.step()


def test_a_video_is_no_picture() -> None:
    with pytest.raises(ConfigError, match="A video of 3 frames was given, but this model makes a clip from one"):
        begun(engine("wan-i2v"), torch.zeros(3, 32, 48, 3, dtype=torch.uint8))
