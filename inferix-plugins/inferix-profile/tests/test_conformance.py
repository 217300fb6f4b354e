"""The profiler keeps the rules of the core's suite, and the plugin those of plugins."""

from __future__ import annotations

from pathlib import Path

import pytest
from inferix_core.contracts.profiler import Profiler
from inferix_core.testing.suites import PluginSuite, ProfilerSuite
from inferix_profile.config import TraceConfig
from inferix_profile.trace import Trace


class TestTrace(ProfilerSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._path = tmp_path

    def profiler(self) -> Profiler:
        return Trace(TraceConfig(table=False, json_path=str(self._path / "a.json"), synchronize="pass"))


class TestPlugin(PluginSuite):
    module = "inferix_profile.plugin"
    distribution = "inferix-profile"
