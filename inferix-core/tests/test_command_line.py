"""The command line, as a program of its own and in this process."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path

import inferix_core
import pytest
from inferix_core import errors
from inferix_core.cli.application import exit_code
from inferix_core.cli.arguments import disabled_plugins, joined_times
from inferix_core.cli.request import GenerateRequest
from inferix_core.cli.times import seconds_of
from inferix_core.errors import ConfigError

from .conftest import Install, Output, needs_torch

WORLD = """
@hookimpl
def inferix_models():
    toy = "inferix_core.testing.toys:ToyModel"
    yield ModelSpec("tiny", "A small [world].", toy, actions=("left", "right"), presets={"big": {}})
"""

COMMANDS = """
import typer
from inferix_core.errors import {error}

@hookimpl
def inferix_add_commands(cli: typer.Typer):
    @cli.command()
    def hello():
        {body}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[GenerateRequest]:
    """The requests that reach the generation, which is not run."""
    requests: list[GenerateRequest] = []
    stand_in = types.ModuleType("inferix_core.cli.generation")
    stand_in.run_generation = lambda request, console: requests.append(request)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inferix_core.cli.generation", stand_in)
    return requests


def program(site: Path, *arguments: str, wrapped: str = "") -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "COLUMNS": "200"}
    code = wrapped or "from inferix_core.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )


LIGHT = [
    ["--help"],
    ["plugins", "list"],
    ["models"],
    ["schema"],
    ["generate", "--help"],
    ["replay", "--help"],
    ["world", "fork", "--help"],
    ["weights", "check", "--help"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_what_only_describes_imports_no_tensor_library(site: Path, arguments: list[str]) -> None:
    wrapped = (
        "import sys\nfrom inferix_core.cli.application import run\ncode = run(sys.argv[1:])\n"
        "heavy = sorted({'torch', 'numpy', 'av', 'safetensors'} & set(sys.modules))\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    finished = program(site, *arguments, wrapped=wrapped)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"]], ids=" ".join)
def test_what_only_describes_costs_little_beside_importing_its_libraries(site: Path, arguments: list[str]) -> None:
    # CPU time of children, as a ratio in one run: seconds differ between machines, and on a busy one from hour to hour.
    libraries = "import importlib_metadata, loguru, pluggy, pydantic, rich.table, typer.rich_utils"
    ratio = float("inf")
    for _ in range(5):
        ratio = min(ratio, cpu_seconds(site, *arguments) / cpu_seconds(site, wrapped=libraries))
        if ratio < 3.0:
            break
    assert ratio < 3.0


def cpu_seconds(site: Path, *arguments: str, wrapped: str = "") -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert program(site, *arguments, wrapped=wrapped).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_program_lowers_the_spinning_of_openmp_before_anything_else(site: Path) -> None:
    wrapped = (
        "import os, sys\nos.environ.pop('GOMP_SPINCOUNT', None)\nsys.argv = ['inferix', '--version']\n"
        "from inferix_core.cli import main\n"
        "try:\n    main()\nfinally:\n    print(os.environ['GOMP_SPINCOUNT'])"
    )
    assert program(site, wrapped=wrapped).stdout.split()[-1] == "0"


def test_plugins_list_shows_every_state_with_its_reason(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-good", WORLD)
    install("acme-bad", "raise RuntimeError('[red]no luck')")
    code, output, _ = inferix("plugins", "list", "--json")
    rows = {row["distribution"]: row for row in json.loads(output)}
    assert code == 0
    assert rows["acme-good"]["state"] == "ready"
    assert rows["acme-good"]["provides"] == ["model tiny"]
    assert "no luck" in rows["acme-bad"]["reason"]
    table = inferix("plugins", "list")[1]
    assert "acme-bad" in table
    assert "[red]no luck" in table
    row = next(
        line for line in inferix("--without", "acme-good", "plugins", "list")[1].splitlines() if "acme-good" in line
    )
    assert "disabled" in row


def test_plugins_show_tells_how_a_component_is_configured(install: Install, inferix: Callable[..., Output]) -> None:
    install(
        "acme-kv",
        """
        class Window(ComponentConfig):
            num_latents: int = Field(9, ge=1, le=21, description="How many latents stay.")
            mode: str = Field(description="Which ones.")

        @hookimpl
        def inferix_kv_policies():
            yield Spec("last", "The last stay.", "nowhere:Last", config=Window, provides=frozenset({"fork"}))
        """,
    )
    code, output, _ = inferix("plugins", "show", "kv-policy", "last")
    assert code == 0
    for part in (
        "The last stay.",
        "Provides: fork",
        "num_latents",
        "integer",
        "9",
        "≥ 1, ≤ 21",
        "How many",
        "required",
    ):
        assert part in output
    code, _, message = inferix("plugins", "show", "kv-polcy", "last")
    assert (code, "Did you mean 'kv-policy'" in message) == (2, True)


def test_models_are_listed_with_actions_and_presets(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-world", WORLD)
    rows = {row["name"]: row for row in json.loads(inferix("models", "--json")[1])}
    assert rows["tiny"]["actions"] == ["left", "right"]
    assert rows["tiny"]["presets"] == ["big"]
    assert "left, right" in inferix("models")[1]


def test_the_schema_is_json(site: Path, inferix: Callable[..., Output]) -> None:
    code, output, _ = inferix("schema")
    assert (code, json.loads(output)["title"]) == (0, "Inferix configuration")


def generate(*arguments: str) -> tuple[str, ...]:
    return ("generate", "a red ball", "--model", "tiny", "-o", "world.npy", *arguments)


def test_generate_passes_on_what_was_asked(
    install: Install, inferix: Callable[..., Output], asked: list[GenerateRequest], tmp_path: Path
) -> None:
    install("acme-world", WORLD)
    file = tmp_path / "run.toml"
    file.write_text('seed = 1\ndtype = "float32"\n[model]\nuse = "elsewhere"\nkey = 1\n')
    code, _, message = inferix(
        *generate("--seconds", "8", "--seed", "7", "--threads", "2", "--config", str(file), "--set", "device=cpu"),
        *("--prompt-at", "4s", "at night", "--prompt-at", "1.5 at sunset", "--action-at", "2s left", "--preset", "big"),
    )
    assert code == 0, message
    (request,) = asked
    assert (request.prompt, request.seconds, request.output) == ("a red ball", 8.0, "world.npy")
    assert [(one.seconds, one.signal.prompt or one.signal.action) for one in request.signals] == [
        (1.5, "at sunset"),
        (2.0, "left"),
        (4.0, "at night"),
    ]
    settings = request.config.run
    assert (settings.seed, settings.num_threads, settings.device, settings.dtype) == (7, 2, "cpu", "float32")
    assert request.config.model.name == "tiny"
    assert request.config.effective["model"]["preset"] == "big"


def test_a_script_is_laid_beside_the_signals_of_the_command_line_and_may_begin_the_world(
    install: Install, inferix: Callable[..., Output], asked: list[GenerateRequest], tmp_path: Path
) -> None:
    install("acme-world", WORLD)
    told = [{"at": 0, "prompt": "a ball"}, {"at": 9, "prompt": "too late"}, {"at_block": 3, "action": "left"}]
    tables = ("\n".join(f"{key} = {json.dumps(value)}" for key, value in one.items()) for one in told)
    script = tmp_path / "story.toml"
    script.write_text("\n".join(f"[[signals]]\n{table}" for table in tables))
    line = ("generate", "--model", "tiny", "-o", "world.npy", "--seconds", "8", "--script", str(script))
    code, _, message = inferix(*line, "--prompt-at", "4s at night")
    assert (code, "'too late' at 9 s is left out" in message) == (0, True), message
    (request,) = asked
    assert [(one.seconds, one.block) for one in request.signals] == [(0.0, None), (4.0, None), (None, 3)]
    assert request.prompt is None


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('at = 1\nprompt = "a"', "There is no prompt to begin with"),
        ('at = 0\nprompt = "a"\naction = "lft"', "'lft' is not an action of 'tiny'. Did you mean 'left'?"),
        ('at = 0\nprompt = "a"\nnegative_prompt = "b"', "'tiny' is not guided away from a negative prompt, found 'b'"),
        ('at = 0\nprmpt = "a"', "signals.0.prmpt: there is no such key. Did you mean 'prompt'?"),
    ],
)
def test_what_a_script_cannot_tell_the_model_is_a_mistake(
    install: Install,
    inferix: Callable[..., Output],
    asked: list[GenerateRequest],
    tmp_path: Path,
    table: str,
    sentence: str,
) -> None:
    install("acme-world", WORLD)
    script = tmp_path / "story.toml"
    script.write_text(f"[[signals]]\n{table}")
    code, _, message = inferix("generate", "--model", "tiny", "-o", "world.npy", "--script", str(script))
    assert (code, asked) == (2, [])
    assert sentence in message


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seconds", "0"], "--seconds must be above 0"),
        (["--seconds", "-1"], "--seconds must be above 0"),
        (["--seconds", "nan"], "--seconds must be above 0"),
        (["--seconds", "inf"], "--seconds must be above 0"),
        (["--prompt-at", "soon a ball"], "needs a time and a text"),
        (["--prompt-at", "4s"], "needs a time and a text"),
        (["--action-at", "2s lft"], "'lft' is not an action of 'tiny'. Did you mean 'left'? Actions: left, right."),
        (["--model", "tinny"], "No model is called 'tinny'. Did you mean 'tiny'?"),
        (["--preset", "huge"], "no preset called 'huge'"),
        (["--set", "kv.polcy.use=full"], "kv.polcy"),
        (["--set", "nothing"], "is not an override"),
        (["--config", "missing.toml"], "There is no configuration file 'missing.toml'"),
        (["--seed", "-1"], "seed: must be at least 0"),
        (["--threads", "0"], "num_threads: must be at least 1"),
        (["-o", "world.xyz"], "No installed streamer writes to .xyz"),
        (["-o", ""], "An empty output"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(
    install: Install,
    inferix: Callable[..., Output],
    asked: list[GenerateRequest],
    arguments: list[str],
    sentence: str,
) -> None:
    install("acme-world", WORLD)
    code, _, message = inferix(*generate(*arguments))
    assert code == 2
    assert sentence in message
    assert "Traceback" not in message
    assert asked == []


def test_an_empty_prompt_and_an_output_that_must_not_be_replaced_are_refused(
    install: Install, inferix: Callable[..., Output], asked: list[GenerateRequest], tmp_path: Path
) -> None:
    install("acme-world", WORLD)
    target = tmp_path / "world.npy"
    target.touch()
    code, _, message = inferix(*generate("-o", str(target), "--no-overwrite"))
    assert (code, "exists" in message) == (2, True)
    assert inferix(*generate("-o", str(target)))[0] == 0
    code, _, message = inferix("generate", "  ", "--model", "tiny", "-o", "world.npy")
    assert (code, "prompt is empty" in message, len(asked)) == (2, True, 1)


def test_a_signal_after_the_end_warns_and_is_left_out(
    install: Install, inferix: Callable[..., Output], asked: list[GenerateRequest]
) -> None:
    install("acme-world", WORLD)
    code, _, message = inferix(*generate("--seconds", "2", "--action-at", "9s left"))
    assert (code, asked[0].signals) == (0, ())
    assert "'left' at 9 s is left out" in message


def test_an_unknown_option_is_exit_code_2(inferix: Callable[..., Output]) -> None:
    assert inferix("generate", "x", "--sconds", "3")[0] == 2


def test_debug_shows_where_it_went_wrong(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-world", WORLD)
    code, _, message = inferix(*generate("--seconds", "0", "--debug"))
    assert (code, "Traceback" in message, "--seconds must be" in message) == (2, True, True)


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        ("typer.echo('hello')", 0, ""),
        ("raise CheckpointError('short file')", 2, "Error: short file"),
        ("raise KeyError('a bug')", 1, "KeyError: 'a bug' (unexpected; run again with --debug to see where)"),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise typer.Exit(4)", 4, ""),
    ],
)
def test_a_plugins_command_is_there_and_its_outcome_is_the_exit_code(
    install: Install, inferix: Callable[..., Output], body: str, code: int, sentence: str
) -> None:
    install("acme-tool", COMMANDS.format(body=body, error="CheckpointError"))
    found, _, message = inferix("hello")
    assert found == code
    assert sentence in message
    assert "Traceback" not in message


def test_commands_of_one_name_need_the_distribution_and_those_of_the_core_stay(
    install: Install, inferix: Callable[..., Output]
) -> None:
    for name in ("acme-one", "acme-two"):
        install(name, COMMANDS.format(body=f"typer.echo('{name}')", error="OutputError"))
    install("acme-three", COMMANDS.format(body="raise ValueError", error="OutputError").replace("hello", "models"))
    install("acme-four", "@hookimpl\ndef inferix_add_commands(cli): raise RuntimeError('no luck')")
    assert inferix("hello")[0] == 2
    assert inferix("acme-two:hello")[1].strip() == "acme-two"
    code, _, message = inferix("models")
    assert code == 0
    assert "the core has one of this name" in message
    assert "no luck" in message


def test_failures_on_the_way_are_exit_code_1_and_mistakes_2() -> None:
    assert exit_code(errors.WriteError("disk full")) == 1
    assert exit_code(errors.OutputError("no folder")) == 2
    assert exit_code(errors.UnknownPluginError("no such")) == 2
    assert exit_code(errors.PluginError("broken")) == 1


@pytest.mark.parametrize(("text", "seconds"), [("4s", 4.0), ("4.5", 4.5), ("1m2s", 62.0), ("2m", 120.0), (".5s", 0.5)])
def test_times_are_seconds_or_minutes_and_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "4 s", "1h", "nan", "1m2m", "1e3"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        seconds_of(text)


def test_the_words_of_a_timed_option_may_be_one_argument_or_two() -> None:
    split = ["generate", "x", "--prompt-at", "4s", "a ball", "--action-at", "2s left", "-o", "f"]
    assert joined_times(split) == ["generate", "x", "--prompt-at", "4s a ball", "--action-at", "2s left", "-o", "f"]
    assert joined_times(["--prompt-at", "4s", "--seed"]) == ["--prompt-at", "4s", "--seed"]
    assert joined_times(["--action-at", "soon", "left"]) == ["--action-at", "soon left"]
    assert joined_times(["--", "--prompt-at", "4s", "a"]) == ["--", "--prompt-at", "4s", "a"]


def test_plugins_are_left_out_before_the_command_only() -> None:
    assert disabled_plugins(["--without", "a", "--debug", "--without=b", "x", "--without", "c"]) == ["a", "b"]


@needs_torch
def test_the_public_names_are_imported_when_they_are_used(site: Path) -> None:
    wrapped = (
        "import sys, inferix_core\nassert inferix_core.Signal and inferix_core.ConfigError and inferix_core.Catalog\n"
        "assert 'torch' not in sys.modules\nassert inferix_core.Engine and inferix_core.World\n"
        "assert 'torch' in sys.modules\n"
        "assert all(hasattr(inferix_core, name) for name in inferix_core.__all__)\n"
        "try:\n    inferix_core.nothing\nexcept AttributeError as error:\n    print(error)"
    )
    finished = program(site, wrapped=wrapped)
    assert "has no attribute 'nothing'" in finished.stdout, finished.stderr


def test_the_version_is_the_one_that_is_published() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert inferix_core.__version__ == project["version"]
