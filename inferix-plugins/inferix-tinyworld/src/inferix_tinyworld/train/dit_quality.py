"""How well the transformer predicts held-out blocks, and pictures of worlds that it makes through the engine.

Letters: T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.relay import Relay
from inferix_core.runtime.engine import Engine
from inferix_core.runtime.loop import Parts
from inferix_core.signals import Signal
from inferix_core.specs import ComponentConfig
from inferix_kvstore.policies.configuration import WindowConfig
from inferix_kvstore.policies.window import WindowPolicy
from inferix_wan.config import FewStepSolverConfig, SelfForcingPlannerConfig
from inferix_wan.planners.self_forcing import SelfForcingPlanner
from inferix_wan.solvers.few_step import FewStepSolver
from PIL import Image

from inferix_tinyworld.config import TinyWorldVaeConfig
from inferix_tinyworld.decoder import TinyWorldDecoder
from inferix_tinyworld.model import TinyWorldModel
from inferix_tinyworld.network import TinyWorldNetwork
from inferix_tinyworld.scene import LATENTS_PER_BLOCK
from inferix_tinyworld.segmentation import find_objects

SCRIPTS: tuple[tuple[Signal | None, ...], ...] = (
    (Signal(prompt="a red ball bounces at sunset"), None, None, None, None),
    (Signal(prompt="a blue box rolls by day"), None, None, None, None),
    (Signal(prompt="a yellow ball rests at night"), None, Signal(action="left"), None, Signal(action="jump")),
    (Signal(prompt="a green ball rolls at night"), None, Signal(action="right"), None, None),
    (Signal(prompt="a purple box bounces by day"), None, Signal(prompt="a cyan box rests at sunset"), None, None),
    (Signal(prompt="a cyan ball rests at sunset"), Signal(action="right"), None, Signal(action="left"), None),
)
"""What is said to the worlds of a contact sheet, block by block."""


def engine_of(network: TinyWorldNetwork, *, vae: Path, num_context_blocks: int) -> Engine:
    """An engine around a bf16 network, as the preset would build it."""
    model = TinyWorldModel.of_network(network)
    device = network.words.weight.device
    policy = WindowPolicy(WindowConfig(num_window_latents=LATENTS_PER_BLOCK * (num_context_blocks + 1)))
    store = DenseStore(
        DenseConfig(),
        layout=model.layout,
        capacity=policy.capacity(LATENTS_PER_BLOCK),
        device=device,
        dtype=model.dtype,
    )
    parts = Parts(
        model=model,
        planner=SelfForcingPlanner(SelfForcingPlannerConfig()),
        solver=FewStepSolver(FewStepSolverConfig()),
        store=store,
        policy=policy,
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=device,
    )
    decoder = TinyWorldDecoder(
        TinyWorldVaeConfig(checkpoint=str(vae)), geometry=model.geometry, device=device, dtype=model.dtype
    )
    return Engine(parts, decoder)


def contact_sheet(engine: Engine, path: Path, *, seed: int, num_columns: int = 14) -> str:
    """Writes pictures of the scripts, one world a row, and says in how many frames exactly one object is seen."""
    rows, num_single, num_frames = [], 0, 0
    for index, script in enumerate(SCRIPTS):
        world = engine.create_world(seed=seed + index)
        frames = np.concatenate([world.step(signal).frames.numpy() for signal in script])
        picks = np.linspace(0, len(frames) - 1, num_columns).astype(int)
        rows.append(np.concatenate(list(frames[picks]), axis=1))
        num_single += int((find_objects(frames).num_objects == 1).sum())
        num_frames += len(frames)
    Image.fromarray(np.concatenate(rows)).save(path)
    return f"one object in {num_single} of {num_frames} frames"


def percentages(errors: Sequence[tuple[float, float]]) -> str:
    """Pairs of squared errors as "all/near the object" in per cent of the latents' variance."""
    return " ".join(f"{100 * everywhere:.2f}/{100 * near:.1f}" for everywhere, near in errors)


def mean_square(error: torch.Tensor, near: torch.Tensor) -> tuple[float, float]:
    """Mean squares of an error [R, 3, C, h, w] everywhere and where `near` [R, 3, 1, h, w] is 1."""
    square = error.float().square()
    return float(square.mean()), float((square * near).sum() / (near.sum() * error.shape[2]).clamp_min(1))
