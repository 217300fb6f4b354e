"""The options that the benches share, and where what they measured goes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console

from inferix_core.catalog import Catalog
from inferix_core.cli.choices import ConfigOption, ModelOption, PresetOption, SetOption, ThreadsOption, resolved
from inferix_core.configuration import ResolvedConfig
from inferix_core.specs import Kind

PromptOption = Annotated[str, typer.Option(help="What the world shows meanwhile.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonPathOption = Annotated[Path | None, typer.Option(help="Write JSON to this file.")]
PlotOption = Annotated[Path | None, typer.Option(help="Write a plot to this .png file (extra: bench).")]

_USUAL_MODELS = (("self-forcing", "mid"), ("tinyworld", None))
"""A mid-size Wan with random weights and the embedded world: what is measured where nothing is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The options that say what is measured; a field is an option."""

    prompt: PromptOption = "a red ball bounces"
    model: ModelOption = None
    preset: PresetOption = None
    config: ConfigOption = None
    overrides: SetOption = None
    threads: ThreadsOption = 1

    def resolved(self, catalog: Catalog, *, below: Sequence[str] = ()) -> ResolvedConfig:
        """The configuration; overrides `below` hold where the user says nothing else, and not over a file."""
        return resolved(
            catalog,
            config=self.config,
            model=self.model,
            preset=self.preset,
            seed=None,
            threads=self.threads,
            overrides=[*(below if self.config is None else ()), *(self.overrides or ())],
        )

    def or_usual(self, catalog: Catalog) -> list[EngineChoice]:
        """The choice itself if it names a model, else one for each usual model that is installed."""
        installed = {component.name for component in catalog.components(Kind.MODEL)}
        usual = [(model, preset) for model, preset in _USUAL_MODELS if model in installed]
        if self.model or self.preset or self.config or not usual:
            return [self]
        return [
            EngineChoice(prompt=self.prompt, model=model, preset=preset, overrides=self.overrides, threads=self.threads)
            for model, preset in usual
        ]

    def title(self, config: ResolvedConfig) -> str:
        """The model and its preset, as the results are headed."""
        return f"{config.model.name}{f' ({self.preset})' if self.preset else ''}"


def chooses_engine(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `EngineChoice` in the place of its parameter `choice`."""
    names = [field.name for field in fields(EngineChoice)]
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(EngineChoice, eval_str=True).parameters
    parameters = {**{name: own[name] for name in own if name == "context"}, **shared, **own}
    del parameters["choice"]

    @wraps(command)
    def with_choice(**given: Any) -> None:
        command(choice=EngineChoice(**{name: given.pop(name) for name in names}), **given)

    keyword_only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters.values()]
    with_choice.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    with_choice.__annotations__ = {
        **get_type_hints(EngineChoice, include_extras=True),
        **get_type_hints(command, include_extras=True),
    }
    return with_choice


def print_json(measured: Mapping[str, Any]) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(measured))


def progress_console() -> Console:
    """Where long measurements say how far they are, out of the way of what is printed."""
    return Console(stderr=True)
