"""The plugin module declares, and imports nothing heavy."""

import subprocess
import sys

from inferix_kvstore import plugin


def test_every_policy_is_where_its_spec_says() -> None:
    names = {spec.name: spec.load().__name__ for spec in plugin.inferix_kv_policies()}
    assert names == {
        "window": "WindowPolicy",
        "sink-window": "SinkWindowPolicy",
        "strided": "StridedPolicy",
        "selective": "SelectivePolicy",
    }


def test_declaring_the_policies_loads_no_tensor_library() -> None:
    code = "import sys, inferix_kvstore.plugin as p; list(p.inferix_kv_policies()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
