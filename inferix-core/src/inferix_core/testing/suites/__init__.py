"""The conformance suites: one for each kind of component, one for commands, and one for a plugin as a whole.

Subclass a suite in a test module, say how your component is made, and run pytest. The rules are the
contracts of `inferix_core.contracts`; docs/conformance.md lists them.
"""

import pkgutil

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The conformance suites need pytest and hypothesis. Try: pip install 'inferix-core[testing]'.", name=error.name
    ) from error

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))

from inferix_core.testing.suites.attention import AttentionSuite  # noqa: E402 (the rewriting comes first)
from inferix_core.testing.suites.base import Suite, broken_rules, provided_by, rules_of  # noqa: E402
from inferix_core.testing.suites.codec import CodecSuite  # noqa: E402
from inferix_core.testing.suites.command import CommandSuite  # noqa: E402
from inferix_core.testing.suites.decoder import DecoderSuite  # noqa: E402
from inferix_core.testing.suites.kv_policy import KVPolicySuite  # noqa: E402
from inferix_core.testing.suites.kv_store import KVStoreSuite  # noqa: E402
from inferix_core.testing.suites.model import ModelSuite  # noqa: E402
from inferix_core.testing.suites.parallel import ParallelSuite  # noqa: E402
from inferix_core.testing.suites.planner import PlannerSuite  # noqa: E402
from inferix_core.testing.suites.plugin import PluginSuite  # noqa: E402
from inferix_core.testing.suites.profiler import ProfilerSuite  # noqa: E402
from inferix_core.testing.suites.quantizer import QuantizerSuite  # noqa: E402
from inferix_core.testing.suites.solver import SolverSuite  # noqa: E402
from inferix_core.testing.suites.streamer import StreamerSuite  # noqa: E402
from inferix_core.testing.suites.weights import WeightsSuite  # noqa: E402

__all__ = [
    "AttentionSuite",
    "CodecSuite",
    "CommandSuite",
    "DecoderSuite",
    "KVPolicySuite",
    "KVStoreSuite",
    "ModelSuite",
    "ParallelSuite",
    "PlannerSuite",
    "PluginSuite",
    "ProfilerSuite",
    "QuantizerSuite",
    "SolverSuite",
    "StreamerSuite",
    "Suite",
    "WeightsSuite",
    "broken_rules",
    "provided_by",
    "rules_of",
]
