"""The plugin module declares, and imports nothing heavy."""

import subprocess
import sys

from inferix_magi import plugin


def test_every_component_is_where_its_spec_says_and_takes_its_own_configuration() -> None:
    (planner,), (solver,), (policy,) = (
        plugin.inferix_schedulers(),
        plugin.inferix_solvers(),
        plugin.inferix_kv_policies(),
    )
    plans = planner.load()(planner.config())
    built = [plans, solver.load()(solver.config()), policy.load()(policy.config(), planner=plans)]
    assert [spec.name for spec in (planner, solver, policy)] == ["magi", "velocity", "magi-ranges"]
    assert [type(one).__name__ for one in built] == ["MagiPlanner", "VelocitySolver", "MagiRanges"]


def test_declaring_the_components_loads_no_tensor_library() -> None:
    code = "import sys, inferix_magi.plugin as p; list(p.inferix_schedulers()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
