"""Every strategy of the package keeps the rules of its contract, the command and the plugin those of theirs."""

from inferix_core.contracts.parallel import ParallelStrategy, Ranks
from inferix_core.plan import KVLayout
from inferix_core.testing.suites import CommandSuite, ParallelSuite, PluginSuite
from inferix_parallel.configuration import HybridConfig, PipelineConfig, RingConfig, UlyssesConfig
from inferix_parallel.pipeline import Pipeline
from inferix_parallel.sequence import hybrid, ring, ulysses


class TestUlysses(ParallelSuite):
    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        return ulysses(UlyssesConfig(), ranks=ranks, layout=layout, num_heads=num_heads)


class TestRing(ParallelSuite):
    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        return ring(RingConfig(), ranks=ranks, layout=layout, num_heads=num_heads)


class TestRingOfKeys(ParallelSuite):
    num_ranks = (2,)

    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        return ring(RingConfig(passes="keys"), ranks=ranks, layout=layout, num_heads=num_heads)


class TestHybrid(ParallelSuite):
    num_ranks = (4,)

    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        rings = 2 if ranks.num_ranks > 1 else 1
        return hybrid(HybridConfig(ring=rings), ranks=ranks, layout=layout, num_heads=num_heads)


class TestPipeline(ParallelSuite):
    num_ranks = (2,)

    def strategy(self, *, ranks: Ranks, layout: KVLayout, num_heads: int | None) -> ParallelStrategy:
        return Pipeline(PipelineConfig(), ranks=ranks, layout=layout, num_heads=num_heads)


class TestCommand(CommandSuite):
    module = "inferix_parallel.plugin"
    mistakes = (
        ("parallel", "explain", "--ranks", "2", "--size", "large"),
        ("parallel", "explain", "--ranks", "2", "--topology", "abacus"),
    )


class TestPlugin(PluginSuite):
    module = "inferix_parallel.plugin"
    distribution = "inferix-parallel"
