"""The `dit` stage: the causal transformer by flow matching on latents of the frozen encoder.

Clean blocks pass at time 0 beside noisy copies of the blocks that follow them, each at a level of its own, in one
forward; a noisy block sees the clean blocks that the sampler's window would hold (teacher forcing).

Letters: R rows (one block each), C channels, h, w latent height and width.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import torch
from inferix_core.contracts.model import PassInput
from safetensors.torch import save_file
from torch import Tensor, nn

from inferix_tinyworld.network import ACTION, TEXT, TinyWorldNetwork, network_config, write_config
from inferix_tinyworld.shipped import NETWORK, VAE
from inferix_tinyworld.train.block_context import BlockContext
from inferix_tinyworld.train.dit_batch import Batch, draw_batch, sampler_sigmas
from inferix_tinyworld.train.dit_quality import contact_sheet, engine_of, mean_square, percentages
from inferix_tinyworld.train.dit_settings import DitSettings
from inferix_tinyworld.train.latent_pool import WORLDS_PER_SHARD, LatentPool, start_filling
from inferix_tinyworld.train.matrix_optimizer import MatrixOptimizer
from inferix_tinyworld.train.run import MixedPrecision, Workers, pick_device, train_loop
from inferix_tinyworld.train.settings import parse_settings
from inferix_tinyworld.train.world_clips import UNSAID

NUM_SHARDS_TO_START = 8
REFRESH_STEPS = 50
"""Steps between looks for new shards."""


def main(arguments: list[str]) -> None:
    """Trains the transformer and writes `dit.safetensors` and `dit.json` into the work folder."""
    settings = parse_settings(DitSettings, arguments, prog="train dit")
    torch.set_num_threads(settings.num_threads)
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    (settings.work_dir / "dit.settings.json").write_text(settings.model_dump_json(indent=1))
    vae = (settings.vae_dir or settings.work_dir) / VAE
    pool_folder = settings.work_dir / "latents"
    start_filling(
        pool_folder,
        vae=vae,
        seed=settings.seed,
        num_clips=settings.num_pool_clips,
        num_blocks=settings.num_pool_blocks,
        num_processes=settings.num_pool_processes,
    )
    network = new_network(settings).to(pick_device(settings.device))
    training = MatrixTraining(network, settings=settings)
    workers = Workers(network, num_workers=settings.num_workers)
    pool = LatentPool(pool_folder)
    pool.wait_for(min(NUM_SHARDS_TO_START, settings.num_pool_clips // WORLDS_PER_SHARD))

    def compute(step: int) -> dict[str, float]:
        if step % REFRESH_STEPS == 0:
            pool.refresh()

        def gradients(copy: nn.Module, worker: int) -> dict[str, float]:
            batch = draw_batch(pool.training, settings, step=step * settings.num_workers + worker)
            return step_gradients(cast("TinyWorldNetwork", copy), batch, settings)

        return workers.run(gradients)

    def evaluate(step: int) -> str:
        averaged = write_network(training, settings.work_dir / NETWORK)
        errors = held_out_errors(averaged, pool, settings)
        engine = engine_of(averaged, vae=vae, num_context_blocks=settings.num_context_blocks)
        seen = contact_sheet(engine, settings.work_dir / f"sheet-{step:06d}.png", seed=settings.seed)
        return f"x0 error by level, all/near the object in % of the variance: {errors}  {seen}"

    train_loop(settings, name="dit", training=training, compute=compute, evaluate=evaluate)


class MatrixTraining(MixedPrecision):
    """Mixed precision with Muon for the blocks' matrices."""

    def __init__(self, network: TinyWorldNetwork, *, settings: DitSettings) -> None:
        super().__init__(network, settings=settings)
        is_matrix = [
            master.ndim == 2 and name.startswith("transformer.blocks.")
            for name, master in zip(self.names, self.masters, strict=True)
        ]
        self.optimizer: MatrixOptimizer = MatrixOptimizer(  # type: ignore[assignment]
            [master for master, is_one in zip(self.masters, is_matrix, strict=True) if is_one],
            [master for master, is_one in zip(self.masters, is_matrix, strict=True) if not is_one],
            ratio=settings.matrix_learning_rate / settings.learning_rate,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )


def new_network(settings: DitSettings) -> TinyWorldNetwork:
    """The network of the settings, initialised so that every block starts as the identity."""
    config = network_config(
        dim=settings.dim, ffn_dim=settings.ffn_dim, num_heads=settings.num_heads, num_layers=settings.num_layers
    )
    torch.manual_seed(settings.seed)
    network = TinyWorldNetwork(config)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        transformer = network.transformer
        nn.init.zeros_(cast("nn.Linear", transformer.time_projection[1]).weight)
        nn.init.zeros_(transformer.head.head.weight)
        nn.init.zeros_(transformer.head.modulation)
        for block in transformer.blocks:
            # Open gates over branches that end in zeros: the branches learn from the first step on.
            modulation = cast("Tensor", block.modulation)
            modulation.zero_()
            modulation[:, (2, 5)] = 1.0
            for end in (block.self_attn.o, block.cross_attn.o, block.ffn[2]):  # type: ignore[union-attr, index]
                nn.init.zeros_(end.weight)  # type: ignore[union-attr, arg-type]
    return network


def predicted_flow(network: TinyWorldNetwork, batch: Batch) -> Tensor:
    """The flow that the network sees in every row, [R, 3, C, h, w] float32."""
    transformer = network.transformer
    device, dtype = network.words.weight.device, network.words.weight.dtype
    words = batch.words.to(device)
    said = (words != UNSAID).unsqueeze(-1).to(dtype)
    text = transformer.embed_text(network.words(words.clamp_min(0)) * said)  # an unsaid field is a row of padding
    action = network.actions(batch.actions.to(device)).unsqueeze(1)
    pass_input = PassInput(
        latents=batch.latents.to(device, dtype),
        times=batch.times,
        positions=batch.positions,
        conditions=(),
        branches=("signal",),
        entry_lengths=(batch.latents.shape[1],),
    )
    context = BlockContext(batch.groups, positions=batch.positions, conditions={TEXT: text, ACTION: action})
    state = transformer.embed(pass_input)
    for layer in transformer.layers:
        state = layer(state, context)
    return cast("Tensor", transformer.head(state)).float()


def step_gradients(network: TinyWorldNetwork, batch: Batch, settings: DitSettings) -> dict[str, float]:
    """Gradients of one batch; returns figures for the log."""
    flow = predicted_flow(network, batch)[batch.num_clean :]
    device = flow.device
    error = flow - (batch.noise - batch.clean).to(device)
    near = batch.near.to(device)
    loss = (error.square() * (1 + settings.object_weight * near)).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        num_targets = error.shape[0] - batch.num_first
        sigmas = batch.sigmas[batch.num_clean :]
        figures = {"loss": float(loss.detach())}
        from_noise = (sigmas[:num_targets] == 1).nonzero().flatten().to(device)
        if len(from_noise):
            figures["from_noise"] = mean_square(error[from_noise], near[from_noise])[1]
        lowest = (sigmas[:num_targets] == sigmas[:num_targets].min()).nonzero().flatten().to(device)
        scale = sigmas.to(device).view(-1, 1, 1, 1, 1)
        figures["lowest"] = mean_square((scale * error)[lowest], near[lowest])[1]
        if batch.num_first:
            figures["first"] = mean_square((scale * error)[num_targets:], near[num_targets:])[1]
    return {"from_noise": 0.0, **figures}


@torch.no_grad()
def held_out_errors(network: TinyWorldNetwork, pool: LatentPool, settings: DitSettings) -> str:
    """The error of the clean estimate at each of the sampler's levels, for blocks that were never trained on."""
    fixed = settings.model_copy(
        update={"exact_share": 1.0, "num_clips": 4, "num_targets": 4, "num_first_blocks": 0, "context_noise": 0.0}
    )
    found: dict[float, list[tuple[float, float]]] = {}
    for index in range(4):
        batch = draw_batch(pool.held_out, fixed, step=-1 - index & 0xFFFF)
        error = predicted_flow(network, batch)[batch.num_clean :].cpu() - (batch.noise - batch.clean)
        sigmas = batch.sigmas[batch.num_clean :]
        for sigma in sampler_sigmas(settings.shift):
            chosen = (sigmas - sigma).abs() < 1e-4
            found.setdefault(sigma, []).append(mean_square(sigma * error[chosen], batch.near[chosen]))
    return percentages([_mean(pairs) for pairs in found.values()])


def write_network(training: MatrixTraining, path: Path) -> TinyWorldNetwork:
    """Writes the averaged weights in bf16 with their shape beside them, and returns a network that holds them."""
    network = cast("TinyWorldNetwork", training.module)
    weights = {name: value.to(torch.bfloat16).cpu().contiguous() for name, value in training.averaged_weights().items()}
    temporary = path.with_suffix(".tmp")
    save_file(weights, temporary)
    write_config(network.config, path.with_suffix(".json"))
    temporary.replace(path)
    averaged = TinyWorldNetwork(dataclasses.replace(network.config)).to(torch.bfloat16)
    averaged.load_state_dict(weights)
    return averaged.to(network.words.weight.device).requires_grad_(False).eval()


def _mean(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(a for a, _ in pairs) / len(pairs), sum(b for _, b in pairs) / len(pairs)
