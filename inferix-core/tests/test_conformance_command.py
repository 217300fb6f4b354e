"""Every rule of the suite of commands is broken by one plugin that keeps all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from inferix_core.testing.suites import CommandSuite, broken_rules, rules_of

GOOD = '''
import typer
from inferix_core.errors import ConfigError
from typer.core import TyperCommand

COLOURS = ("red", "green")
group = typer.Typer(help="Work on pictures.")


@group.command()
def paint(colour: str = typer.Option("red", help="The colour of all pixels.")):
    """Paint a picture."""
    if colour not in COLOURS:
        raise ConfigError(f"--colour {colour} was asked for; there are {', '.join(COLOURS)}.")
    print(colour)


@group.command()
def frame(width: int = typer.Argument(help="Pixels.")):
    """Put a frame around it."""


def shred():
    """Put an end to it."""


@hookimpl
def inferix_add_commands(cli):
    cli.add_typer(group, name="pictures")
    cli.command("shred")(shred)
'''
MISTAKES = (("pictures", "paint", "--colour", "loud"), ("pictures", "frame", "wide"))
FAILING_HELP = """

class NoHelp(TyperCommand):
    def format_help(self, ctx, formatter):
        raise RuntimeError("no help")
"""
BROKEN: dict[str, str] = {
    "test_at_least_one_command_is_added": GOOD.split("    cli.add_typer")[0] + "    pass\n",
    "test_nothing_but_commands_is_added": f"{GOOD}    cli.callback()(shred)\n",
    "test_every_command_has_a_name_of_its_own": GOOD.replace('command("shred")', 'command("schema")'),
    "test_every_command_says_what_it_does": GOOD.replace('"""Paint a picture."""', ""),
    "test_every_option_and_argument_is_described": GOOD.replace('help="Pixels."', ""),
    "test_every_command_shows_its_help": GOOD.replace('command("shred")', 'command("shred", cls=NoHelp)')
    + FAILING_HELP,
    "test_nothing_heavy_is_loaded_before_a_command_runs": f"{GOOD}    import safetensors\n",
    "test_a_mistake_ends_with_two_and_is_told_without_a_traceback": GOOD.replace("raise ConfigError", "raise KeyError"),
}


Broken = Callable[..., list[str]]


@pytest.fixture
def broken(install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Installs a plugin, and names the rules that it breaks."""
    monkeypatch.setenv("INFERIX_PLUGINS", "inferix-core,their-thing")

    def tested(source: str, *, lines: Sequence[Sequence[str]] = ()) -> list[str]:
        path = install("their-thing", source, requires=("inferix-core>=0.0.1",))

        class Cases(CommandSuite):
            module = path.stem
            mistakes = lines

        return broken_rules(Cases(), tmp_path)

    return tested


def test_a_plugin_of_good_commands_breaks_no_rule(broken: Broken) -> None:
    assert broken(GOOD, lines=MISTAKES) == []


@pytest.mark.parametrize("name", rules_of(CommandSuite))
def test_the_commands_that_break_a_rule_fail_it_and_no_other(name: str, broken: Broken) -> None:
    assert broken(BROKEN[name], lines=MISTAKES if "mistake" in name else ()) == [name]


def test_two_commands_of_one_name_are_found_out(broken: Broken) -> None:
    twice = f'{GOOD}    cli.command("pictures")(shred)\n'
    assert "test_every_command_has_a_name_of_its_own" in broken(twice)


@pytest.mark.parametrize("line", [("pictures", "paint", "--colour", "green"), ("sculptures", "--colour", "loud")])
def test_a_mistake_that_is_none_is_found_out(line: Sequence[str], broken: Broken) -> None:
    assert broken(GOOD, lines=(line,)) == ["test_a_mistake_ends_with_two_and_is_told_without_a_traceback"]
