"""The rules of the contracts, from the core's conformance kit (`pip install 'inferix-core[testing]'`)."""

import pytest
import torch
from inferix_core.contracts import Decoder, KVPolicy, Model, Planner, Solver
from inferix_core.plan import Geometry, Level
from inferix_core.signals import Signal
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import (
    DecoderSuite,
    KVPolicySuite,
    ModelSuite,
    PlannerSuite,
    PluginSuite,
    SolverSuite,
)
from inferix_example.config import LandmarksConfig, PondConfig, PondPlannerConfig
from inferix_example.landmarks import LandmarksPolicy
from inferix_example.light import PondLight
from inferix_example.planner import CLEAN, NOISE, DirectSolver, PondPlanner
from inferix_example.pond import Pond

CPU = torch.device("cpu")


def pond() -> Pond:
    return Pond(PondConfig(wind=0.1), device=CPU, dtype=torch.float32)


class TestPlugin(PluginSuite):
    module = "inferix_example.plugin"
    distribution = "inferix-example"


class TestPond(ModelSuite):
    prompts = ("a spring in the west", "a spring in the east")
    misunderstood = Signal(action="jump")

    def model(self) -> Model:
        return pond()

    @pytest.mark.xfail(strict=True, reason="waves are computed at once: of all times only the clean one differs")
    def test_the_time_matters(self) -> None: ...


class TestPlanner(PlannerSuite):
    def planner(self) -> Planner:
        return PondPlanner(PondPlannerConfig())


class TestDirectSolver(SolverSuite):
    def solver(self) -> Solver:
        return DirectSolver(ComponentConfig())

    def levels(self) -> tuple[Level, ...]:
        return NOISE, CLEAN


class TestLight(DecoderSuite):
    def decoder(self) -> Decoder:
        return PondLight(ComponentConfig(), geometry=self.geometry(), device=CPU, dtype=torch.float32)

    def geometry(self) -> Geometry:
        return pond().geometry


class TestLandmarks(KVPolicySuite):
    def policy(self) -> KVPolicy:
        return LandmarksPolicy(LandmarksConfig(every=4, num_recent_latents=4))
