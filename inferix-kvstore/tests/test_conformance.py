"""The policies keep the rules of their kind, and the plugin those of plugins."""

from inferix_core.testing.suites import KVPolicySuite, PluginSuite
from inferix_core.testing.toys import ToyPlanner
from inferix_kvstore.config import SinkWindowConfig, WindowConfig
from inferix_kvstore.window import SinkWindowPolicy, WindowPolicy


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


class TestPlugin(PluginSuite):
    module = "inferix_kvstore.plugin"
    distribution = "inferix-kvstore"
