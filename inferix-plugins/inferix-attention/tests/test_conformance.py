"""The plugin keeps the rules of plugins; the backends those of theirs beside what else they are tested for."""

from inferix_core.testing.suites import PluginSuite


class TestPlugin(PluginSuite):
    module = "inferix_attention.plugin"
    distribution = "inferix-attention"
