"""Self Forcing's rolling key/value buffer holds `sink ∪ last window` at every pass.

The buffer is simulated from its bookkeeping (absolute end, fill, eviction on overflow); the
simulation is checked against the indices that the official implementation recorded.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inferix_core.plan import Entry, Level
from inferix_kvstore.policies.configuration import SinkWindowConfig
from inferix_kvstore.policies.window import SinkWindowPolicy
from safetensors.torch import load_file

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "wan"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "index.json").read_text())["cases"]}
NOISE = Level(0, 1000.0, 1.0)


@dataclass
class RollingBuffer:
    """Slots that hold latents; `num_seen` is the absolute end, `num_filled` the fill."""

    num_sink: int
    capacity: int
    slots: list[int | None] = field(default_factory=list)
    num_seen: int = 0
    num_filled: int = 0

    def __post_init__(self) -> None:
        self.slots = [None] * self.capacity

    def write(self, block: range) -> list[int | None]:
        """Writes a block, again or for the first time, and returns what its queries attend to."""
        num_evicted = 0
        if block.stop > self.num_seen and self.num_filled + len(block) > self.capacity:
            num_evicted = self.num_filled + len(block) - self.capacity
            kept = self.slots[self.num_sink + num_evicted : self.num_filled]
            self.slots[self.num_sink : self.num_sink + len(kept)] = kept
        self.num_filled += block.stop - self.num_seen - num_evicted
        self.num_seen = block.stop
        self.slots[self.num_filled - len(block) : self.num_filled] = block
        return self.slots[: self.num_filled]


def buffer_and_policy(*, num_sink: int, num_window: int) -> tuple[RollingBuffer, SinkWindowPolicy]:
    config = SinkWindowConfig(num_sink_latents=num_sink, num_window_latents=num_window)
    return RollingBuffer(num_sink, num_sink + num_window), SinkWindowPolicy(config)


def assert_same_at_every_pass(buffer: RollingBuffer, policy: SinkWindowPolicy, block_sizes: list[int]) -> None:
    held: list[int] = []
    start = 0
    for index, size in enumerate(block_sizes):
        block = range(start, start + size)
        held = list(policy.retained(held, block))
        assert len(held) + size <= (policy.capacity(size) or 0)
        for _ in range(3):
            entry = Entry(index, block, block.start, NOISE)
            assert buffer.write(block) == list(policy.visible(entry, [*held, *block]))
        held += block
        start = block.stop


@pytest.mark.parametrize("name", ["sf_causal_rollout_window", "sf_causal_rollout_window_sink"])
def test_the_simulated_buffer_has_the_official_indices(name: str) -> None:
    case = CASES[name]
    indices = load_file(GOLDEN / case["file"])["out.indices"].tolist()
    size, num_tokens = case["call"]["frames_per_block"], case["call"]["tokens_per_frame"]
    buffer = RollingBuffer(case["constructor"]["sink_size"], case["constructor"]["local_attn_size"])
    for index, _, start, num_seen, num_filled in indices:
        block = range(index * size, (index + 1) * size)
        buffer.write(block)
        assert (block.start * num_tokens, buffer.num_seen * num_tokens, buffer.num_filled * num_tokens) == (
            start,
            num_seen,
            num_filled,
        )
    assert buffer.slots[0] != 0 or case["constructor"]["sink_size"], "the case is long enough to evict"


@pytest.mark.parametrize("name", ["sf_causal_rollout_window", "sf_causal_rollout_window_sink"])
def test_the_policy_sees_what_the_buffer_of_a_golden_case_holds(name: str) -> None:
    case = CASES[name]
    num_sink = case["constructor"]["sink_size"]
    buffer, policy = buffer_and_policy(num_sink=num_sink, num_window=case["constructor"]["local_attn_size"] - num_sink)
    assert_same_at_every_pass(buffer, policy, [case["call"]["frames_per_block"]] * case["call"]["blocks"])


@settings(max_examples=200, deadline=None)
@given(
    num_sink=st.integers(0, 6),
    block_size=st.integers(1, 5),
    surplus=st.integers(0, 9),
    first_block_is_single=st.booleans(),
)
def test_the_policy_sees_what_the_buffer_holds_for_any_sizes(
    num_sink: int, block_size: int, surplus: int, first_block_is_single: bool
) -> None:
    buffer, policy = buffer_and_policy(num_sink=num_sink, num_window=block_size + surplus)
    assert_same_at_every_pass(buffer, policy, [1] * first_block_is_single + [block_size] * 12)
