"""The cost of generating: what is timed, what is counted, and what the command prints."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
import torch
from inferix_core.bench.alternative import measure_alternative
from inferix_core.bench.generate import measure_generation
from inferix_core.bench.matmul_peak import matmul_flops_per_second
from inferix_core.bench.spans import CountedTimings
from inferix_core.errors import ConfigError, PlanError
from inferix_core.plan import Entry, Op, Progress
from inferix_core.runtime.engine import Engine
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import CHANNELS, HEAD_DIM, HEADS, ToyDecoder, ToyModel, ToyPlanner
from torch.nn import functional

LAYERS, TOKENS, WIDTH = 2, 2 * 8, HEADS * HEAD_DIM
"""Of a pass of the toy model: a block has two latents of 8 tokens."""


class LastLatents:
    """Keeps and shows the last `count` latents."""

    def __init__(self, count: int) -> None:
        self._count = count

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        return [latent for latent in held if latent >= upcoming.stop - self._count]

    def visible(self, entry: Entry, available: Sequence[int]) -> Sequence[int]:
        return [latent for latent in available if latent >= entry.latents.stop - self._count]

    def capacity(self, num_block_latents: int) -> int | None:
        return self._count


class SlowDecoder(ToyDecoder):
    """Takes 20 ms longer."""

    def decode(self, latents, state):  # type: ignore[no-untyped-def]
        time.sleep(0.02)
        return super().decode(latents, state)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferix_core.bench.matmul_peak._SECONDS", 0.01)


def flops_of_pass(*, num_visible_latents: int, predicts: bool) -> int:
    """By hand: queries, keys and values, attention to the window, attention to 3 + 1 condition tokens; in and out."""
    seen = num_visible_latents * 8 + 4
    layer = 2 * TOKENS * WIDTH * 3 * WIDTH + 4 * TOKENS * seen * WIDTH
    ends = 2 * TOKENS * CHANNELS * WIDTH
    return LAYERS * layer + ends + (ends if predicts else 0)


@pytest.mark.parametrize("window", [4, 8])
def test_operations_of_a_block_are_those_of_its_passes_over_a_full_window(window: int) -> None:
    cost = measure_generation(toy_engine(policy=LastLatents(window)), prompt="a pond", num_blocks=1)
    assert cost.num_window_latents == window
    assert cost.num_denoise_flops == 2 * flops_of_pass(num_visible_latents=window, predicts=True)
    assert cost.num_clean_flops == flops_of_pass(num_visible_latents=window, predicts=False)


def test_operations_are_counted_where_the_backend_is_not_torchs() -> None:
    class Foreign:
        def attend(self, q, segments, *, scale, want_lse=False):  # type: ignore[no-untyped-def]
            return torch.zeros_like(q), None

    foreign = measure_generation(toy_engine(policy=LastLatents(4), backend=Foreign()), prompt="a pond", num_blocks=1)
    assert foreign.num_denoise_flops == 2 * flops_of_pass(num_visible_latents=4, predicts=True)


def test_grouped_heads_count_as_many_products_as_the_queries_have() -> None:
    q, k = torch.randn(1, 4, 8, 16), torch.randn(1, 2, 32, 16)
    timings = CountedTimings()
    with torch.inference_mode(), timings.span("pass"):
        functional.scaled_dot_product_attention(q, k, k, enable_gqa=True)
    assert timings.num_flops == {"pass": 2 * 2 * 4 * 8 * 32 * 16}


def test_the_decoder_counts_with_decode_and_not_without() -> None:
    engine = toy_engine(policy=LastLatents(4), decoder=SlowDecoder())
    cost = measure_generation(engine, prompt="a pond", num_blocks=3)
    assert cost.decode_milliseconds >= 20.0
    assert cost.block_milliseconds >= cost.decode_milliseconds + cost.denoise_milliseconds
    assert cost.num_frames == 8
    assert cost.frames_per_second < 8 / 0.02 < cost.frames_per_second_without_decode


def test_the_share_is_that_of_the_peak_and_the_measurement_says_where_it_was_made() -> None:
    cost = measure_generation(toy_engine(policy=LastLatents(4)), prompt="a pond", num_blocks=2)
    rate = cost.num_denoise_flops / (cost.denoise_milliseconds / 1000.0)
    assert cost.denoise_share == pytest.approx(rate / cost.peak_flops_per_second)
    assert 0.0 < cost.denoise_share < 1.0
    assert (cost.dtype, cost.num_threads, cost.torch_version) == (
        "float32",
        torch.get_num_threads(),
        torch.__version__,
    )
    assert cost.device.startswith("CPU (")


def test_a_planner_of_single_clips_is_refused() -> None:
    class OneClip(ToyPlanner):
        def plan(self, progress: Progress) -> Sequence[Op]:
            if progress.num_finished:
                raise PlanError("A clip is one block.")
            return super().plan(progress)

    with pytest.raises(ConfigError, match="single clip"):
        measure_generation(toy_engine(planner=OneClip()), prompt="a pond", num_blocks=1)
    with pytest.raises(ConfigError, match="single clip"):
        measure_alternative(
            toy_engine(), toy_engine(planner=OneClip()), setting="planner.use=clip", prompt="a pond", num_pairs=1
        )


def test_nothing_is_left_behind_and_a_policy_without_a_bound_is_said() -> None:
    engine: Engine = toy_engine()
    assert measure_generation(engine, prompt="a pond", num_blocks=1).num_window_latents is None
    assert engine.num_kv_bytes == 0


def test_the_matmul_peak_is_a_rate_that_a_product_has() -> None:
    rate = matmul_flops_per_second(device=torch.device("cpu"), dtype=torch.float32)
    a = torch.randn(1024, 1024)
    start = time.perf_counter()
    a @ a
    slower = 2 * 1024**3 / (time.perf_counter() - start)
    assert rate > 0.5 * slower


def test_a_slower_setting_has_a_ratio_above_one_and_nothing_is_left_behind() -> None:
    plain, slow = toy_engine(policy=LastLatents(4)), toy_engine(policy=LastLatents(4), decoder=SlowDecoder())
    cost = measure_alternative(plain, slow, setting="decoder.use=slow", prompt="a pond", num_pairs=3)
    assert cost.block_milliseconds >= 20.0
    assert cost.wall_ratio > 1.5 > cost.cpu_ratio  # it sleeps
    assert cost.has_same_frames
    assert (plain.num_kv_bytes, slow.num_kv_bytes) == (0, 0)


def test_what_is_made_ahead_is_part_of_the_time() -> None:
    class SlowModel(ToyModel):
        def head(self, state):  # type: ignore[no-untyped-def]
            time.sleep(0.02)
            return super().head(state)

    parts = toy_engine(policy=LastLatents(4), model=SlowModel()).parts
    engines = [Engine(parts, SlowDecoder(), overlap_decode=overlap) for overlap in (False, True)]
    cost = measure_alternative(*engines, setting="overlap_decode=true", prompt="a pond", num_pairs=3)
    assert cost.block_milliseconds >= 40.0  # two passes with a head
    assert 0.6 < cost.wall_ratio < 0.9  # two sleeps of three
    assert cost.has_same_frames


def test_a_setting_that_changes_frames_is_said_to() -> None:
    plain, other = toy_engine(policy=LastLatents(4)), toy_engine(policy=LastLatents(4), model=ToyModel(seed=1))
    assert not measure_alternative(plain, other, setting="seed", prompt="a", num_pairs=1).has_same_frames
