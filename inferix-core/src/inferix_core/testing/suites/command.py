"""The rules of commands that a plugin adds."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup

from inferix_core.catalog import Catalog
from inferix_core.catalog.conformance import HEAVY
from inferix_core.catalog.selection import CORE_DISTRIBUTION
from inferix_core.cli.application import build_application
from inferix_core.cli.plugin_commands import names_of
from inferix_core.testing.suites.base import Suite, rule

USER_MISTAKE = 2
TIMEOUT_SECONDS = 120.0

_RUN_LINES = """
import contextlib, importlib, io, json, sys
import typer
from inferix_core.cli.application import run
importlib.import_module(sys.argv[1]).inferix_add_commands(typer.Typer())
answers = []
for line in json.loads(sys.argv[2]):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = run(line)
    answers.append((code, output.getvalue(), errors.getvalue()))
print(json.dumps({"answers": answers, "modules": sorted(sys.modules)}))
"""


class CommandSuite(Suite):
    """Set `module`, the plugin module, which is to be installed, and `mistakes`: command lines such as
    `("paint", "--colour", "loud")` that a user gets wrong, which nothing but the plugin's own code finds out.

    The rules on help and mistakes run `inferix` in a process of its own.
    """

    module: str
    mistakes: Sequence[Sequence[str]] = ()
    heavy: tuple[str, ...] = HEAVY
    """The packages that are not to be loaded before a command runs."""

    @rule
    def test_at_least_one_command_is_added(self) -> None:
        assert list(self._commands()), f"'{self.module}' adds nothing to the application that its hook is given"

    @rule
    def test_nothing_but_commands_is_added(self) -> None:
        added = self._added()
        assert added.registered_callback is None, "options of `inferix` itself are the core's; they would be left out"

    @rule
    def test_every_command_has_a_name_of_its_own(self) -> None:
        names = names_of(self._added())
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        assert not twice, f"added twice: {', '.join(twice)}"
        core = build_application(Catalog.discover(only=[CORE_DISTRIBUTION]), with_benches=False)
        taken = sorted(set(names_of(core)).intersection(names))
        assert not taken, f"the core has commands of these names: {', '.join(taken)}"

    @rule
    def test_every_command_says_what_it_does(self) -> None:
        silent = [" ".join(path) for path, command in self._commands() if not (command.help or "").strip()]
        assert not silent, f"without help: {', '.join(silent)}"

    @rule
    def test_every_option_and_argument_is_described(self) -> None:
        bare = [
            f"{' '.join(path)} {parameter.opts[0]}"
            for path, command in self._commands()
            for parameter in command.params
            if not parameter.hidden and not (parameter.help or "").strip()
        ]
        assert not bare, f"without a description: {', '.join(bare)}"

    @rule
    def test_every_command_shows_its_help(self) -> None:
        lines, shown = self._help
        for line, (code, output, errors) in zip(lines, shown["answers"], strict=True):
            assert code == 0, f"`inferix {' '.join(line)}` ended with {code}: {errors}"
            assert "Usage:" in output, f"`inferix {' '.join(line)}` shows no usage"

    @rule
    def test_nothing_heavy_is_loaded_before_a_command_runs(self) -> None:
        _, shown = self._help
        loaded = sorted(set(self.heavy).intersection(shown["modules"]))
        assert not loaded, f"adding the commands, or their help, imports {', '.join(loaded)}"

    @rule
    def test_a_mistake_ends_with_two_and_is_told_without_a_traceback(self) -> None:
        strange = [line for line in self.mistakes if line[0] not in names_of(self._added())]
        assert not strange, f"these are no command lines of the plugin: {strange}"
        answers = self._run(self.mistakes)["answers"] if self.mistakes else []
        for line, (code, output, errors) in zip(self.mistakes, answers, strict=True):
            asked = f"`inferix {' '.join(line)}`"
            assert code == USER_MISTAKE, f"{asked} ended with {code}: {errors}"
            assert errors.strip(), f"{asked} says nothing on stderr"
            assert "Traceback" not in output + errors, f"{asked} shows a traceback"

    def _added(self) -> typer.Typer:
        """An application of its own with the plugin's commands."""
        cli = typer.Typer()
        importlib.import_module(self.module).inferix_add_commands(cli)
        return cli

    def _commands(self) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Every command and group that is shown, by the names that lead to it."""
        added = self._added()
        if added.registered_commands or added.registered_groups:
            yield from _below((), typer.main.get_group(added))

    @cached_property
    def _help(self) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
        """The command lines that ask for help, and what `_run` has of them."""
        lines = [(*path, "--help") for path, _ in self._commands()]
        return lines, self._run(lines)

    def _run(self, lines: Sequence[Sequence[str]]) -> dict[str, Any]:
        """The answers to command lines in a process of their own, and the modules that it has loaded then."""
        done = subprocess.run(
            [sys.executable, "-c", _RUN_LINES, self.module, json.dumps(lines)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"},
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result


def _below(path: tuple[str, ...], group: TyperGroup) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        yield (*path, name), command
        if isinstance(command, TyperGroup):
            yield from _below((*path, name), command)
