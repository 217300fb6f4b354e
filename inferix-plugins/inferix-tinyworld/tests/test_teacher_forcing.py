"""What the transformer is trained on is what the sampler asks of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from inferix_core.contracts.model import PassInput
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
from inferix_tinyworld.meanings import prompt_rows
from inferix_tinyworld.model import TinyWorldModel
from inferix_tinyworld.network import TinyWorldNetwork, network_config
from inferix_tinyworld.scene import ACTIONS
from inferix_tinyworld.train.block_context import RowGroup
from inferix_tinyworld.train.dit import predicted_flow
from inferix_tinyworld.train.dit_batch import draw_batch, sampler_sigmas
from inferix_tinyworld.train.dit_settings import DitSettings
from inferix_tinyworld.train.latent_pool import Shard
from inferix_wan.config import FewStepSolverConfig, SelfForcingPlannerConfig
from inferix_wan.planners.self_forcing import SelfForcingPlanner
from inferix_wan.solvers.few_step import FewStepSolver
from torch import Tensor


class RecordingModel(TinyWorldModel):
    """Keeps what every pass was given and answered."""

    def embed(self, pass_input: PassInput) -> Any:
        self.inputs = [*getattr(self, "inputs", []), pass_input]
        return super().embed(pass_input)

    def head(self, state: Any) -> Tensor:
        flow = super().head(state)
        self.flows = [*getattr(self, "flows", []), flow]
        return flow


class NoFrames:
    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        return torch.zeros(1, 3, 8, 8), state


def random_network() -> TinyWorldNetwork:
    torch.manual_seed(3)
    network = TinyWorldNetwork(network_config(dim=24, ffn_dim=32, num_heads=2, num_layers=2))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    return network.requires_grad_(False)


def random_shard(*, num_worlds: int = 2, num_blocks: int = 5) -> Shard:
    size = (num_worlds, num_blocks)
    return Shard(
        latents=torch.randn(*size, 3, 16, 16, 16).half(),
        words=torch.randint(14, (*size, 4)),
        actions=torch.randint(4, size),
        near=torch.rand(*size, 3, 16, 16) < 0.2,
    )


@pytest.mark.parametrize("num_context_blocks", [1, 2])
def test_a_training_row_predicts_what_the_cached_rollout_predicts(num_context_blocks: int) -> None:
    network = random_network()
    model = RecordingModel.of_network(network)
    policy = WindowPolicy(WindowConfig(num_window_latents=3 * (num_context_blocks + 1)))
    cpu = torch.device("cpu")
    parts = Parts(
        model=model,
        planner=SelfForcingPlanner(SelfForcingPlannerConfig()),
        solver=FewStepSolver(FewStepSolverConfig()),
        store=DenseStore(
            DenseConfig(), layout=model.layout, capacity=policy.capacity(3), device=cpu, dtype=torch.float32
        ),
        policy=policy,
        backend=SdpaBackend(ComponentConfig()),
        relay=Relay(),
        device=cpu,
    )
    world = Engine(parts, NoFrames()).create_world(seed=5)
    signals = [
        Signal(prompt="a red ball rolls at night", action="left"),
        Signal(prompt="a cyan box rests at sunset", action="jump"),
        Signal(),
        Signal(prompt="a cyan box bounces by day", action="right"),
    ]
    for signal in signals:
        world.step(signal)
    words = torch.tensor([prompt_rows(s.prompt or "a cyan box rests at sunset") for s in signals])
    actions = torch.tensor([ACTIONS.index(s.action or "none") for s in signals])
    clean = torch.cat([model.inputs[5 * block + 4].latents for block in range(3)])
    noisy = model.inputs[5 * 3 + 1].latents  # the second level of the last block
    rows = torch.tensor([list(range(3 - num_context_blocks, 3))])
    chain = [
        RowGroup(slice(0, 1)),
        *(
            RowGroup(slice(row, row + 1), torch.tensor([list(range(max(0, row - num_context_blocks), row))]))
            for row in range(1, 3)
        ),
    ]
    settings = DitSettings(num_first_blocks=0)
    batch = replace(
        draw_batch([random_shard()], settings, step=0),
        latents=torch.cat([clean, noisy]),
        sigmas=torch.tensor([0.0, 0.0, 0.0, sampler_sigmas(5.0)[1]]),
        positions=[[3 * block + i for i in range(3)] for block in range(4)],
        words=words,
        actions=actions,
        groups=[*chain, RowGroup(slice(3, 4), rows)],
        num_clean=3,
    )
    torch.testing.assert_close(predicted_flow(network, batch)[3:], model.flows[4 * 3 + 1], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("num_context_blocks", [1, 2])
def test_targets_see_the_clean_blocks_right_before_them(num_context_blocks: int) -> None:
    # Latents that name their world and block, so that rows can be recognised.
    shard = random_shard(num_worlds=3, num_blocks=6)
    for world in range(3):
        for block in range(6):
            shard.latents[world, block] = 10 * world + block
    settings = DitSettings(num_context_blocks=num_context_blocks, num_clips=4, num_targets=2, context_noise=0.0)
    batch = draw_batch([shard], settings, step=7)
    names = torch.cat([batch.latents[: batch.num_clean], batch.clean])[:, 0, 0, 0, 0].round().int().tolist()
    num_seen = 0
    for group in batch.groups:
        if group.context is None:
            continue
        for row, seen in zip(range(group.rows.start, group.rows.stop), group.context.tolist(), strict=True):
            expected = [names[row] - back for back in range(len(seen), 0, -1)]
            assert [names[other] for other in seen] == expected
            assert all(other < batch.num_clean for other in seen)
            num_seen += 1
    assert num_seen > 10
    positions = [row[0] for row in batch.positions]
    group = batch.groups[-2]
    for row, seen in zip(range(group.rows.start, group.rows.stop), group.context.tolist(), strict=True):
        assert positions[seen[-1]] == positions[row] - 3
    firsts = batch.groups[-1]
    assert all(names[row] % 10 == 0 and positions[row] == 0 for row in range(firsts.rows.start, firsts.rows.stop))


def test_most_blocks_are_trained_at_exactly_the_levels_of_the_sampler() -> None:
    planner_sigmas = [level.sigma for level in SelfForcingPlanner(SelfForcingPlannerConfig()).levels[:-1]]
    assert np.allclose(planner_sigmas, sampler_sigmas(5.0))
    batches = [draw_batch([random_shard()], DitSettings(), step=step) for step in range(20)]
    sigmas = torch.cat([batch.sigmas[batch.num_clean :] for batch in batches])
    exact = torch.stack([(sigmas - sigma).abs() < 1e-5 for sigma in planner_sigmas])
    assert 0.65 < float(exact.any(dim=0).float().mean()) < 0.85
    assert all(float(level.float().mean()) > 0.1 for level in exact)


def test_the_same_step_draws_the_same_batch() -> None:
    shard = random_shard()
    one, again, other = (draw_batch([shard], DitSettings(), step=step) for step in (4, 4, 5))
    assert torch.equal(one.latents, again.latents)
    assert not torch.equal(one.latents, other.latents)
