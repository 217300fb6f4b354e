from __future__ import annotations

import subprocess
import sys

import pytest
from inferix_core.contracts.streamer import VideoFormat
from inferix_stream.plugin import inferix_streamers
from pydantic import ValidationError


def test_every_kind_of_target_has_a_streamer_that_loads():
    specs = {target: spec for spec in inferix_streamers() for target in spec.targets}
    assert set(specs) == {".mp4", ".gif", "folder", ".png", ".m3u8", "rtmp", "rtmps", "null"}
    for spec in inferix_streamers():
        streamer = spec.load()(spec.config(), target="x")
        assert all(hasattr(streamer, method) for method in ("open", "write", "close"))
    assert VideoFormat(1, 1, 1.0).fps == 1.0


def test_declaring_the_streamers_imports_neither_a_tensor_library_nor_a_codec():
    code = (
        "import sys; from inferix_stream.plugin import inferix_streamers; list(inferix_streamers()); "
        "print([name for name in ('torch', 'numpy', 'av', 'aiortc') if name in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"


def test_every_setting_says_what_it_is_and_refuses_what_is_out_of_bounds():
    for spec in inferix_streamers():
        for name, field in spec.config.model_fields.items():
            assert field.description, f"{spec.name}.{name}"
    mp4 = next(spec.config for spec in inferix_streamers() if spec.name == "mp4")
    with pytest.raises(ValidationError):
        mp4(crf=60)
    with pytest.raises(ValidationError):
        mp4(quality=1)
