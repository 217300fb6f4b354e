"""Specs: what a plugin says of a component before any of its code is imported."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from inferix_core.contracts.workload import Outline

API = 2
"""Rises when a plugin that conforms today would stop conforming."""


class Kind(Enum):
    """The kinds of components, each with its hook and the words for one and for several."""

    MODEL = ("inferix_models", "model")
    KV_STORE = ("inferix_kv_stores", "KV store")
    KV_POLICY = ("inferix_kv_policies", "KV policy")
    KV_CODEC = ("inferix_kv_codecs", "KV codec")
    ATTENTION = ("inferix_attention_backends", "attention backend")
    PLANNER = ("inferix_schedulers", "planner")
    SOLVER = ("inferix_solvers", "solver")
    DECODER = ("inferix_decoders", "decoder")
    QUANTIZER = ("inferix_quantizers", "quantizer")
    STREAMER = ("inferix_streamers", "streamer")
    PROFILER = ("inferix_profilers", "profiler")
    PARALLEL = ("inferix_parallel_strategies", "parallel strategy")
    WEIGHTS = ("inferix_weights", "weights family")

    def __init__(self, hook: str, noun: str) -> None:
        self.hook = hook
        self.noun = noun

    @property
    def slug(self) -> str:
        """The kind as the command line spells it, e.g. `kv-store`."""
        return self.noun.lower().replace(" ", "-")


class ComponentConfig(BaseModel):
    """The base of every component's configuration: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Spec:
    """One component: its name, what it is, how it is configured, and where it is implemented.

    `implementation` is a dotted path `package.module:attribute`, imported by `load` alone.
    `provides` names optional abilities, e.g. "fork" or "cut-invariant".

    `check` is the dotted path of a function `check(config)`, if the component has one: it raises what building would
    raise for files that are missing or of another kind, and reads no weights. Every component that was chosen is
    checked before one that takes memory is built.
    """

    name: str
    summary: str
    implementation: str
    config: type[ComponentConfig] = ComponentConfig
    provides: frozenset[str] = frozenset()
    api: int = API
    check: str = ""

    def load_check(self) -> Callable[[Any], None] | None:
        """The check, imported now; None if the component has none."""
        return _imported(self.check) if self.check else None

    def load(self) -> Callable[..., Any]:
        """The implementation, imported now."""
        return _imported(self.implementation)


@dataclass(frozen=True, slots=True)
class ModelSpec(Spec):
    """A model, with the presets that are merged under the user's configuration.

    `preset` holds the sections that fit the model (planner, solver, kv, decoder …) and `presets`
    further named ones, e.g. sizes, each merged over `preset`. `default_priority` above 0 makes the
    model a candidate when none is named; the highest wins.

    `needs_picture` says that a world cannot begin without a picture.

    `drift` is the dotted path of the model's own measure of what long worlds lose, for `inferix bench kv`:
    `measure(engine, *, seconds, num_worlds, seed_start) -> Mapping[str, float]` makes `num_worlds` worlds of so many
    seconds with seeds from `seed_start` on; each name says what is still right, its value the share, 1.0 for all.

    `expansion` is the dotted path of `expand(options) -> tables`, which is given the model's own options as they stand
    in presets and configuration, and returns what they mean for any section, e.g. of a file that the model's authors
    configure it by. These tables lie over the presets and under what the user says. It raises `ConfigError`.

    `outline` is the dotted path of a function that says what the model is under a configuration and reads no weights:
    `outline(config) -> Outline` (see `inferix_core.contracts.workload`), for the choice of a parallel strategy.
    """

    preset: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    actions: tuple[str, ...] = ()
    default_priority: int = 0
    drift: str = ""
    needs_picture: bool = False
    expansion: str = ""
    outline: str = ""

    def load_expansion(self) -> Callable[[Mapping[str, Any]], Mapping[str, Any]] | None:
        """What options stand for, imported now; None if the model brings none."""
        return _imported(self.expansion) if self.expansion else None

    def load_drift(self) -> Callable[..., Mapping[str, float]] | None:
        """The measure, imported now; None if the model brings none."""
        return _imported(self.drift) if self.drift else None

    def load_outline(self) -> Callable[[Any], Outline] | None:
        """What the model says of itself without weights, imported now; None if it does not."""
        return _imported(self.outline) if self.outline else None


@dataclass(frozen=True, slots=True)
class StreamerSpec(Spec):
    """A streamer, with the file suffixes, URL schemes or "folder" that it writes to."""

    targets: tuple[str, ...] = ()


def _imported(path: str) -> Callable[..., Any]:
    module_name, _, attribute = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module_name), attribute)
    return found
