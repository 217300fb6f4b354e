"""Commands that plugins add, guarded: one that cannot be added is left out with a warning."""

from __future__ import annotations

import inspect
from collections import defaultdict
from contextlib import suppress

import typer
from loguru import logger

from inferix_core.catalog import Catalog
from inferix_core.hookspecs import PROJECT


def add_plugin_commands(application: typer.Typer, catalog: Catalog) -> None:
    """Adds every plugin's commands to the application.

    The core's own names are not given away. A name that two plugins want is given to neither; both
    commands are there as `distribution:name`.
    """
    core_names = set(names_of(application))
    wanted: dict[str, list[tuple[str, typer.Typer]]] = defaultdict(list)
    for qualified_name, plugin in catalog.modules().items():
        added = _commands_of(plugin, qualified_name)
        for name in names_of(added) if added is not None else ():
            if name in core_names:
                logger.warning(
                    f"The command '{name}' of '{qualified_name}' is left out: the core has one of this name."
                )
            else:
                assert added is not None
                wanted[name].append((qualified_name.partition(":")[0], added))
    for name, sources in wanted.items():
        for distribution, added in sources:
            _add(application, added, name, name if len(sources) == 1 else f"{distribution}:{name}")


def commands_by_plugin(catalog: Catalog) -> dict[str, list[str]]:
    """The names of the commands that each plugin brings, by its `distribution:name`; those that fail are left out."""
    found = {}
    for qualified_name, plugin in catalog.modules().items():
        with suppress(Exception):  # foreign code; the application has warned of it
            if (added := _added_by(plugin)) is not None:
                found[qualified_name] = names_of(added)
    return found


def _commands_of(plugin: object, qualified_name: str) -> typer.Typer | None:
    """The commands that one plugin adds, on an application of their own; None if there are none or they fail."""
    try:
        return _added_by(plugin)
    except Exception as error:  # foreign code: whatever it raises must not cost the user the other commands
        logger.warning(f"The commands of '{qualified_name}' are left out: {type(error).__name__}: {error}")
        return None


def _added_by(plugin: object) -> typer.Typer | None:
    hook = getattr(plugin, "inferix_add_commands", None)
    if hook is None or not hasattr(hook, f"{PROJECT}_impl"):
        return None
    added = typer.Typer()
    hook(added) if inspect.signature(hook).parameters else hook()
    if not names_of(added):
        return None
    typer.main.get_command(added)  # typer reads signatures only now; a bad one must not fail the whole application
    return added


def names_of(application: typer.Typer) -> list[str]:
    """The names of its commands, then of its groups, as they were added."""
    names = [
        command.name or (command.callback.__name__.replace("_", "-") if command.callback is not None else "")
        for command in application.registered_commands
    ]
    return names + [str(group.name or _inner_name(group.typer_instance)) for group in application.registered_groups]


def _inner_name(application: typer.Typer | None) -> str:
    name = application.info.name if application is not None else None
    return name if isinstance(name, str) else ""


def _add(application: typer.Typer, added: typer.Typer, name: str, final_name: str) -> None:
    num_commands = len(added.registered_commands)
    position = names_of(added).index(name)
    if position < num_commands:
        command = added.registered_commands[position]
        command.name = final_name
        application.registered_commands.append(command)
    else:
        group = added.registered_groups[position - num_commands]
        group.name = final_name
        application.registered_groups.append(group)
