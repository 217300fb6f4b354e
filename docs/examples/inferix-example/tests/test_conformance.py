"""The rules of the contracts, from the core's conformance kit (`pip install 'inferix-core[testing]'`)."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from inferix_core.contracts import Decoder, KVPolicy, Model, Planner, Profiler, Solver, Streamer
from inferix_core.plan import Geometry, Level
from inferix_core.signals import Signal
from inferix_core.specs import ComponentConfig
from inferix_core.testing.suites import (
    DecoderSuite,
    KVPolicySuite,
    ModelSuite,
    PlannerSuite,
    PluginSuite,
    ProfilerSuite,
    SolverSuite,
    StreamerSuite,
)
from inferix_example.config import LandmarksConfig, PondConfig, PondPlannerConfig, RhythmConfig
from inferix_example.landmarks import LandmarksPolicy
from inferix_example.light import PondLight
from inferix_example.planner import CLEAN, NOISE, DirectSolver, PondPlanner
from inferix_example.pond import Pond
from inferix_example.rhythm import Rhythm
from inferix_example.y4m import Y4MStreamer

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


class TestY4M(StreamerSuite):
    name = "pond.y4m"
    max_mean_difference = 1.0  # luma and chroma are rounded

    def streamer(self, target: Path) -> Streamer:
        return Y4MStreamer(ComponentConfig(), target=str(target))

    def read(self, target: Path) -> np.ndarray:
        header, _, data = target.read_bytes().partition(b"\n")
        tags = {tag[0]: tag[1:] for tag in header.decode().split()[1:]}
        assert Fraction(tags["F"].replace(":", "/")) == 8
        height, width = int(tags["H"]), int(tags["W"])
        frames = np.frombuffer(data, np.uint8).reshape(-1, len(b"FRAME\n") + 3 * height * width)[:, len(b"FRAME\n") :]
        y, cb, cr = np.moveaxis(frames.reshape(-1, 3, height, width).astype(np.float64), 1, 0)
        y, cb, cr = (y - 16.0) * 255.0 / 219.0, (cb - 128.0) * 255.0 / 224.0, (cr - 128.0) * 255.0 / 224.0
        red, blue = y + 1.402 * cr, y + 1.772 * cb
        green = (y - 0.299 * red - 0.114 * blue) / 0.587
        return np.stack([red, green, blue], axis=-1).round().clip(0, 255).astype(np.uint8)


class TestRhythm(ProfilerSuite):
    def profiler(self) -> Profiler:
        return Rhythm(RhythmConfig())
