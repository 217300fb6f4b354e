"""What the catalog says of a plugin and of each component it brings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from inferix_core.specs import Kind, Spec


class State(Enum):
    """What can be done with an installed plugin. A conflicting one works where its names are qualified."""

    READY = "ready"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    CONFLICTING = "conflicting"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Component:
    """One spec together with the plugin and the distribution that it comes from."""

    kind: Kind
    spec: Spec
    plugin: str
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """The bare name, as `use = "…"` spells it."""
        return self.spec.name

    @property
    def qualified_name(self) -> str:
        """`distribution:name`, which stays unique where two distributions use one name."""
        return f"{self.distribution}:{self.spec.name}"


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """One entry point of the group `inferix`, and how it fared.

    `reason` says why the plugin is not ready and what to do; it is empty for a ready one.
    """

    name: str
    distribution: str
    version: str
    state: State
    reason: str = ""
    components: tuple[Component, ...] = ()

    @property
    def qualified_name(self) -> str:
        """`distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def is_usable(self) -> bool:
        """Whether its components can be chosen (a conflicting plugin's by qualified name)."""
        return self.state in (State.READY, State.CONFLICTING)
