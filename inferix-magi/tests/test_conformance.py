"""Model, planner, solver, policy and weights keep the rules of their kinds, and the plugin those of plugins."""

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from inferix_core.checkpoints import Shapes
from inferix_core.contracts.model import Model
from inferix_core.plan import Level, Progress
from inferix_core.signals import Signal
from inferix_core.testing.suites import (
    KVPolicySuite,
    ModelSuite,
    PlannerSuite,
    PluginSuite,
    SolverSuite,
    WeightsSuite,
    provided_by,
)
from inferix_magi import plugin
from inferix_magi.checkpoints.kinds import NETWORKS
from inferix_magi.config import MagiModelConfig, MagiPlannerConfig, MagiRangesConfig, VelocityConfig
from inferix_magi.configured_model import magi_model
from inferix_magi.decoder import MagiVaeDecoder
from inferix_magi.planner import MagiPlanner
from inferix_magi.ranges import MagiRanges
from inferix_magi.solver import VelocitySolver
from inferix_magi.vae.config import MagiVaeConfig

NUM_STEPS = 8


def planner(**settings: object) -> MagiPlanner:
    return MagiPlanner(MagiPlannerConfig.model_validate({"num_steps": NUM_STEPS, **settings}))


@cache
def tiny_model(dtype: torch.dtype) -> Model:
    config = MagiModelConfig(size="tiny-random", weights="random", height=32, width=48)
    return magi_model(config, device=torch.device("cpu"), dtype=dtype)


@cache
def tiny_vae() -> MagiVaeDecoder:
    config = MagiVaeConfig(size="tiny-random", weights="random", tile_pixels=32, tile_overlap=16)
    geometry = tiny_model(torch.float32).geometry
    return MagiVaeDecoder(config, geometry=geometry, device=torch.device("cpu"), dtype=torch.float32)


class TestModel(ModelSuite):
    provides = provided_by(plugin, "magi")
    misunderstood = Signal(action="left")

    def model(self) -> Model:
        return tiny_model(torch.float32)

    def encoder(self) -> MagiVaeDecoder:
        return tiny_vae()

    def planner(self) -> MagiPlanner:
        return planner()


class TestModelInHalfPrecision(TestModel):
    tolerance = 0.05

    def model(self) -> Model:
        return tiny_model(torch.bfloat16)


class TestPlanner(PlannerSuite):
    unplannable = (Progress(0, num_prefix_latents=13, horizon=2),)

    def planner(self) -> MagiPlanner:
        return planner()


class TestDistilledPlanner(TestPlanner):
    def planner(self) -> MagiPlanner:
        return planner(guidance="distilled", num_steps=12)


class TestVelocitySolver(SolverSuite):
    def solver(self) -> VelocitySolver:
        return VelocitySolver(VelocityConfig())

    def levels(self) -> Sequence[Level]:
        return planner().levels


class TestVelocitySolverInHalfPrecision(TestVelocitySolver):
    dtype = torch.bfloat16


class TestRanges(KVPolicySuite):
    def policy(self) -> MagiRanges:
        return MagiRanges(MagiRangesConfig(), planner=self.planner())

    def planner(self) -> MagiPlanner:
        return planner()


class TestRangesOfOne(TestRanges):
    def policy(self) -> MagiRanges:
        return MagiRanges(MagiRangesConfig(num_visible_blocks=(1,)), planner=self.planner())


class TestWeights(WeightsSuite):
    implementation = "inferix_magi.checkpoints.family:family"

    def other_layouts(self) -> Mapping[str, Shapes]:
        """The whole T5, whose encoder and decoder share a token table."""
        shapes = NETWORKS["t5-v1_1-xxl"]()
        table = shapes.pop("encoder.embed_tokens.weight")
        decoder = {name.replace("encoder.", "decoder."): shape for name, shape in shapes.items()}
        return {"t5-v1_1-xxl": {"shared.weight": table, **shapes, **decoder, "lm_head.weight": table}}


class TestPlugin(PluginSuite):
    module = "inferix_magi.plugin"
    distribution = "inferix-magi"
