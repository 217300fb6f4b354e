"""The policies keep the rules of their kind, and the plugin those of plugins."""

from inferix_core.testing.suites import KVPolicySuite, PluginSuite, provided_by
from inferix_core.testing.toys import ToyPlanner, ToyStaggeredPlanner
from inferix_kvstore import plugin
from inferix_kvstore.policies.configuration import SelectiveConfig, SinkWindowConfig, StridedConfig, WindowConfig
from inferix_kvstore.policies.selective import SelectivePolicy
from inferix_kvstore.policies.strided import StridedPolicy
from inferix_kvstore.policies.window import SinkWindowPolicy, WindowPolicy


class TestWindow(KVPolicySuite):
    def policy(self) -> WindowPolicy:
        return WindowPolicy(WindowConfig(num_window_latents=7))


class TestSinkWindow(KVPolicySuite):
    def policy(self) -> SinkWindowPolicy:
        return SinkWindowPolicy(SinkWindowConfig(num_sink_latents=2, num_window_latents=6))


class TestSinkWindowOfOneBlock(TestSinkWindow):
    def policy(self) -> SinkWindowPolicy:
        return SinkWindowPolicy(SinkWindowConfig(num_sink_latents=3, num_window_latents=3))


class TestSinkWindowOfSingleLatents(TestSinkWindow):
    def planner(self) -> ToyPlanner:
        return ToyPlanner(num_block_latents=1)


class TestStrided(KVPolicySuite):
    def policy(self) -> StridedPolicy:
        return StridedPolicy(StridedConfig(num_recent_latents=4, stride=5, num_memory_latents=3, num_sink_latents=2))


class TestStridedWithoutBound(KVPolicySuite):
    def policy(self) -> StridedPolicy:
        return StridedPolicy(StridedConfig(num_recent_latents=3, stride=2))


class TestStridedWithBlocksInFlight(KVPolicySuite):
    """Two blocks of two latents are in flight, and a finished one has not been committed."""

    def policy(self) -> StridedPolicy:
        return StridedPolicy(StridedConfig(num_recent_latents=6, stride=5, num_memory_latents=2))

    def planner(self) -> ToyStaggeredPlanner:
        return ToyStaggeredPlanner()


class TestSelective(KVPolicySuite):
    provides = provided_by(plugin, "selective")

    def policy(self) -> SelectivePolicy:
        config = SelectiveConfig(num_recent_latents=4, num_selected_latents=2, num_kept_latents=5, num_sink_latents=1)
        return SelectivePolicy(config)


class TestSelectiveOfWholeBlocks(TestSelective):
    def policy(self) -> SelectivePolicy:
        config = SelectiveConfig(
            num_recent_latents=4, num_selected_latents=3, num_kept_latents=6, num_latents_per_group=3
        )
        return SelectivePolicy(config)


class TestSelectiveWithoutBound(TestSelective):
    def policy(self) -> SelectivePolicy:
        return SelectivePolicy(SelectiveConfig(num_recent_latents=3, num_selected_latents=2))


class TestSelectiveWithBlocksInFlight(TestSelective):
    def policy(self) -> SelectivePolicy:
        return SelectivePolicy(SelectiveConfig(num_recent_latents=6, num_selected_latents=2, num_kept_latents=4))

    def planner(self) -> ToyStaggeredPlanner:
        return ToyStaggeredPlanner()


class TestPlugin(PluginSuite):
    module = "inferix_kvstore.plugin"
    distribution = "inferix-kvstore"
