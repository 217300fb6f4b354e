"""What the bare sequence of calls cannot stand in for is said."""

import pytest
from inferix_core.bench.bare import BareBlocks
from inferix_core.errors import UnsupportedError
from inferix_core.plan import Entry
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyStaggeredPlanner


class Bounded:
    """A policy with a bound, which gives nothing up."""

    def retained(self, held: list[int], upcoming: range) -> list[int]:
        return held

    def visible(self, entry: Entry, available: list[int]) -> list[int]:
        return available

    def capacity(self, num_block_latents: int) -> int:
        return num_block_latents


def test_planners_with_several_blocks_in_flight_are_refused() -> None:
    engine = toy_engine(planner=ToyStaggeredPlanner(), policy=Bounded())
    with pytest.raises(UnsupportedError, match="this planner keeps several"):
        BareBlocks(engine.parts, engine.decoder, prompt="a red ball")
