"""Model, planner, solver and decoder keep the rules of their kinds, and the plugin those of plugins."""

from collections.abc import Sequence
from functools import cache

import torch
from inferix_core.plan import Geometry, Level, Progress
from inferix_core.signals import Signal
from inferix_core.testing.suites import DecoderSuite, ModelSuite, PlannerSuite, PluginSuite, SolverSuite
from inferix_wan.config import FewStepSolverConfig, SelfForcingConfig, SelfForcingPlannerConfig, WanVaeDecoderConfig
from inferix_wan.decoder import WanVaeDecoder
from inferix_wan.few_step_solver import FewStepSolver
from inferix_wan.self_forcing import SelfForcingPlanner
from inferix_wan.self_forcing_model import SelfForcingModel

CPU = torch.device("cpu")
GEOMETRY = Geometry((16, 2, 4), 2, 16, 32, fps=16.0)


@cache
def tiny_model() -> SelfForcingModel:
    config = SelfForcingConfig(size="tiny-random", weights="random", height=32, width=48)
    return SelfForcingModel(config, device=CPU, dtype=torch.float32)


@cache
def tiny_decoder() -> WanVaeDecoder:
    config = WanVaeDecoderConfig(weights="random", base_dim=4, num_res_blocks=1)
    return WanVaeDecoder(config, geometry=GEOMETRY, device=CPU, dtype=torch.float32)


class TestModel(ModelSuite):
    misunderstood = Signal(action="left")

    def model(self) -> SelfForcingModel:
        return tiny_model()


class TestPlanner(PlannerSuite):
    unplannable = (Progress(0, num_prefix_latents=2), Progress(1, num_prefix_latents=4, horizon=9))

    def planner(self) -> SelfForcingPlanner:
        return SelfForcingPlanner(SelfForcingPlannerConfig())


class TestPlannerWithAFirstLatent(PlannerSuite):
    unplannable = (Progress(1, num_prefix_latents=3),)

    def planner(self) -> SelfForcingPlanner:
        return SelfForcingPlanner(
            SelfForcingPlannerConfig(independent_first_latent=True, warp=False, steps=(1000, 500))
        )


class TestSolver(SolverSuite):
    def solver(self) -> FewStepSolver:
        return FewStepSolver(FewStepSolverConfig())

    def levels(self) -> Sequence[Level]:
        return SelfForcingPlanner(SelfForcingPlannerConfig()).levels


class TestSolverInHalfPrecision(TestSolver):
    dtype = torch.bfloat16


class TestDecoder(DecoderSuite):
    def decoder(self) -> WanVaeDecoder:
        return tiny_decoder()

    def geometry(self) -> Geometry:
        return GEOMETRY


class TestPlugin(PluginSuite):
    module = "inferix_wan.plugin"
    distribution = "inferix-wan"
