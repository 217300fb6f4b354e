"""`inferix plugins show --json`, `check`, `doctor` and `new`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Install, Output, needs_torch, write_metadata

POLICY = """
class Config(ComponentConfig):
    num_latents: int = Field(3, ge=1, le=9, description="Latents that stay.")

@hookimpl
def inferix_kv_policies():
    yield Spec("mine", "Keeps the last latents.", "inferix_core.defaults.full:FullPolicy", Config)
"""
COMMAND = """
@hookimpl
def inferix_add_commands(cli):
    @cli.command("paint")
    def paint() -> None:
        "Paint."
"""
CORE_RANGE = ("inferix-core>=0.0.1",)


@pytest.fixture
def problems(inferix: Callable[..., Output]) -> Callable[[str], list[str]]:
    """What the doctor says is wrong with a subject."""

    def found(subject: str) -> list[str]:
        code, output, _ = inferix("plugins", "doctor", "--json")
        findings: list[dict[str, Any]] = json.loads(output)
        assert (code == 1) == any(finding["is_problem"] for finding in findings)
        return [one["message"] for one in findings if one["is_problem"] and subject in one["subject"]]

    return found


def test_show_prints_the_schema_of_a_component(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-kv", POLICY)
    shown = json.loads(inferix("plugins", "show", "kv-policy", "mine", "--json")[1])
    assert (shown["distribution"], shown["summary"]) == ("acme-kv", "Keeps the last latents.")
    assert shown["schema"]["properties"]["num_latents"]["maximum"] == 9


@pytest.mark.parametrize("name", ["acme-kv", "acme-kv:door", "door"])
def test_check_tells_that_a_good_plugin_keeps_every_rule(
    install: Install, inferix: Callable[..., Output], name: str
) -> None:
    install("acme-kv", POLICY, entry_point="door", requires=CORE_RANGE)
    code, output, _ = inferix("plugins", "check", name)
    assert code == 0
    assert [line for line in output.splitlines() if not line.startswith("  yes")] == ["acme-kv:door 1.0"]


def test_check_names_the_rules_that_are_broken_and_goes_on(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-kv", POLICY.replace(', description="Latents that stay."', ""))
    code, output, _ = inferix("plugins", "check", "acme-kv")
    broken = [line for line in output.splitlines() if line.startswith("  no ")]
    assert code == 1
    assert len(broken) == 2
    assert "without a description: mine.num_latents" in output
    assert "requires inferix-core 0 times" in output


def test_check_survives_a_plugin_that_cannot_be_imported(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-kv", "raise RuntimeError('no luck')", requires=CORE_RANGE)
    code, output, _ = inferix("plugins", "check", "acme-kv")
    assert code == 1
    assert "no luck" in output


def test_check_of_a_name_that_is_not_installed_says_what_is(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-kv", POLICY)
    code, _, message = inferix("plugins", "check", "acme-kw")
    assert (code, "Did you mean 'acme-kv'" in message) == (2, True)


def test_check_of_a_distribution_without_an_entry_point_says_what_it_lacks(
    site: Path, inferix: Callable[..., Output]
) -> None:
    write_metadata(site, "acme-bare", "1.0", entry_points={})
    code, _, message = inferix("plugins", "check", "acme-bare")
    assert (code, "no entry point in the group 'inferix'" in message) == (2, True)


def test_list_names_the_commands_of_a_plugin(install: Install, inferix: Callable[..., Output]) -> None:
    install("acme-paint", COMMAND)
    rows = {row["distribution"]: row for row in json.loads(inferix("plugins", "list", "--json")[1])}
    assert rows["acme-paint"]["provides"] == ["command paint"]


def test_a_command_of_an_official_distribution_that_is_missing_names_it(
    site: Path, inferix: Callable[..., Output]
) -> None:
    code, _, message = inferix("--without", "inferix-serve", "serve", "--port", "0")
    assert (code, "pip install inferix-serve" in message) == (2, True)


def test_a_skeleton_that_cannot_be_written_is_refused(inferix: Callable[..., Output], tmp_path: Path) -> None:
    (tmp_path / "inferix-sea").symlink_to(tmp_path / "gone" / "sea")
    code, _, message = inferix("plugins", "new", "inferix-sea", "--kind", "model", "--folder", str(tmp_path))
    assert (code, "cannot be written" in message) == (2, True)


def test_the_doctor_finds_no_fault_with_a_good_plugin(install: Install, problems: Callable[[str], list[str]]) -> None:
    install("acme-kv", POLICY)
    assert problems("acme-kv") == []


def test_the_doctor_tells_of_a_plugin_that_is_broken(install: Install, problems: Callable[[str], list[str]]) -> None:
    install("acme-kv", "raise RuntimeError('no luck')")
    (message,) = problems("acme-kv")
    assert "no luck" in message


def test_the_doctor_finds_a_copy_that_hides_another(
    install: Install, problems: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-kv", POLICY)
    (tmp_path / "first").mkdir()
    write_metadata(tmp_path / "first", "acme-kv", "2.0", entry_points={"acme-kv": "plugin_acme_kv"})
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    (message,) = problems("acme-kv")
    assert message.startswith("2.0 in ")
    assert "hides 1.0" in message


@pytest.mark.parametrize(
    ("project", "difference"),
    [
        ('version = "1.1"', "its project is at 1.1, its metadata at 1.0"),
        ('version = "1.0"\ndependencies = ["numpy>=1"]', "differ in what is required: numpy>=1"),
        ('version = "1.0"\n[project.entry-points.inferix]\nother = "x"', "has the entry points {'other': 'x'}"),
    ],
)
def test_the_doctor_finds_metadata_that_are_older_than_the_project(
    install: Install, problems: Callable[[str], list[str]], site: Path, tmp_path: Path, project: str, difference: str
) -> None:
    install("acme-kv", POLICY)
    folder = tmp_path / "my project"
    folder.mkdir()
    points = "" if "entry-points" in project else '\n[project.entry-points.inferix]\nacme-kv = "plugin_acme_kv"'
    (folder / "pyproject.toml").write_text(f'[project]\nname = "acme-kv"\n{project}{points}\n')
    url = {"url": folder.as_uri(), "dir_info": {"editable": True}}
    (site / "acme_kv-1.0.dist-info" / "direct_url.json").write_text(json.dumps(url))
    (message,) = problems("acme-kv")
    assert difference in message
    assert f"pip install --no-deps -e '{folder}'" in message


def test_the_doctor_finds_names_in_the_environment_that_match_nothing(
    install: Install, problems: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-kv", POLICY)
    monkeypatch.setenv("INFERIX_DISABLE_PLUGINS", "acme-kw")
    (message,) = problems("INFERIX_DISABLE_PLUGINS")
    assert "Did you mean 'acme-kv'" in message


def test_the_doctor_names_the_line_that_completes_an_extra(
    install: Install, inferix: Callable[..., Output], site: Path
) -> None:
    install("acme-kv", POLICY)
    with (site / "acme_kv-1.0.dist-info" / "METADATA").open("a") as metadata:
        metadata.write("Provides-Extra: fast\nRequires-Dist: acme-speed>=2; extra == 'fast'\n")
    output = inferix("plugins", "doctor")[1]
    assert "The extra 'fast' lacks acme-speed: pip install 'acme-kv[fast]'" in output


@needs_torch
def test_the_doctor_tells_the_build_of_torch_and_which_kernels_run(inferix: Callable[..., Output]) -> None:
    output = inferix("plugins", "doctor")[1]
    assert "built for" in output
    assert "attention backend inferix-core:sdpa: usable" in output


def test_a_skeleton_is_not_written_over_what_is_there(inferix: Callable[..., Output], tmp_path: Path) -> None:
    (tmp_path / "inferix-sea").mkdir()
    code, _, message = inferix("plugins", "new", "inferix-sea", "--kind", "policy", "--folder", str(tmp_path))
    assert (code, "exists already" in message) == (2, True)
    assert list((tmp_path / "inferix-sea").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["inferix-", "Sea", "1sea", "sea_world", "../sea", "inferix-wan", "inferix-serve", "inferix", "class"]
)
def test_a_skeleton_needs_a_name_that_can_be_published(
    inferix: Callable[..., Output], tmp_path: Path, name: str
) -> None:
    code, _, message = inferix("plugins", "new", name, "--kind", "policy", "--folder", str(tmp_path))
    assert (code, "name" in message) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_skeleton_in_a_folder_that_is_not_there_is_refused(inferix: Callable[..., Output], tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    code, _, message = inferix("plugins", "new", "inferix-sea", "--kind", "model", "--folder", str(folder))
    assert (code, "does not exist" in message) == (2, True)
