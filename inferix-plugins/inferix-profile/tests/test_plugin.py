from __future__ import annotations

import subprocess
import sys

from inferix_profile.plugin import inferix_profilers


def test_declaring_the_profiler_loads_no_tensor_library_and_every_setting_says_what_it_is() -> None:
    code = (
        "import sys; from inferix_profile.plugin import inferix_profilers; list(inferix_profilers()); "
        "print([name for name in ('torch', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    (spec,) = inferix_profilers()
    assert all(field.description for field in spec.config.model_fields.values())
    assert spec.load().__name__ == "Trace"
