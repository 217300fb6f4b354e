"""Planner, solver and policy keep the rules of their kinds, and the plugin those of plugins."""

from collections.abc import Sequence

import torch
from inferix_core.plan import Level, Progress
from inferix_core.testing.suites import KVPolicySuite, PlannerSuite, PluginSuite, SolverSuite
from inferix_magi.config import MagiPlannerConfig, MagiRangesConfig, VelocityConfig
from inferix_magi.planner import MagiPlanner
from inferix_magi.ranges import MagiRanges
from inferix_magi.solver import VelocitySolver

NUM_STEPS = 8


def planner(**settings: object) -> MagiPlanner:
    return MagiPlanner(MagiPlannerConfig.model_validate({"num_steps": NUM_STEPS, **settings}))


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
        return MagiRanges(MagiRangesConfig(num_steps=NUM_STEPS))

    def planner(self) -> MagiPlanner:
        return planner()


class TestRangesOfOne(TestRanges):
    def policy(self) -> MagiRanges:
        return MagiRanges(MagiRangesConfig(num_steps=NUM_STEPS, num_visible_blocks=(1,)))


class TestPlugin(PluginSuite):
    module = "inferix_magi.plugin"
    distribution = "inferix-magi"
