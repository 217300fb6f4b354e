from __future__ import annotations

import subprocess
import sys

from inferix_quant.plugin import inferix_quantizers


def test_declaring_the_quantizers_loads_no_tensor_library_and_every_setting_says_what_it_is() -> None:
    code = (
        "import sys; from inferix_quant.plugin import inferix_quantizers; list(inferix_quantizers()); "
        "print([name for name in ('torch', 'torchao') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    specs = {spec.name: spec for spec in inferix_quantizers()}
    assert set(specs) == {"int8", "fp8"}
    for spec in specs.values():
        assert all(field.description for field in spec.config.model_fields.values())
        assert callable(spec.load())
