import subprocess
import sys
from pathlib import Path


def run_inferix(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "inferix_core.cli", *arguments], capture_output=True, text=True)


def test_the_command_is_there_and_explains_itself() -> None:
    shown = run_inferix("serve", "--help")
    assert shown.returncode == 0
    for option in ("--host", "--port", "--token", "--record", "INFERIX_TOKEN"):
        assert option in shown.stdout


def test_what_describes_the_command_loads_neither_torch_nor_a_web_framework() -> None:
    code = "import sys, inferix_serve, inferix_serve.command, inferix_serve.settings, inferix_serve.script; "
    code += "print(*sorted({'torch', 'fastapi', 'uvicorn', 'PIL', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_open_address_without_a_token_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    refused = run_inferix("serve", "--host", "0.0.0.0", "--folder", str(tmp_path / "never"))
    assert refused.returncode == 2
    assert "INFERIX_TOKEN" in refused.stderr
    assert not (tmp_path / "never").exists()
