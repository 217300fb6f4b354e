"""The catalog: everything that is installed, as an immutable snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from inferix_core.catalog.discovery import Discovery, discover
from inferix_core.catalog.examination import examine
from inferix_core.catalog.lookup import choose, choose_streamer
from inferix_core.catalog.records import Component, PluginRecord
from inferix_core.catalog.selection import read_selection
from inferix_core.catalog.snapshot import read_candidates
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from inferix_core.relay import Relay


class Catalog:
    """What is installed and how it fares. Made by `discover`; never changes afterwards."""

    def __init__(self, discovery: Discovery) -> None:
        self._plugins = discovery.records
        self._modules = discovery.plugins
        self._components = tuple(
            component for record in self._plugins if record.is_usable for component in record.components
        )

    @classmethod
    def discover(cls, only: Iterable[str] | None = None, without: Iterable[str] = ()) -> Catalog:
        """Reads entry points and imports the plugins' light modules; never raises and imports no tensor library.

        `only` stands in for the environment's allowlist, `without` adds to what it disables. Names are
        those of plugins, of distributions, or `distribution:plugin`; one that matches nothing warns.
        """
        return cls(discover(read_candidates(), read_selection(only=only, without=without)))

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """Every installed plugin, whatever its state, ordered by distribution and name."""
        return self._plugins

    def examined(self) -> tuple[PluginRecord, ...]:
        """The plugins after a closer look, which finds missing requirements and implementations; reads files."""
        return tuple(examine(record) for record in self._plugins)

    def components(self, kind: Kind) -> tuple[Component, ...]:
        """The components of a kind that can be chosen, ordered by name."""
        found = (component for component in self._components if component.kind is kind)
        return tuple(sorted(found, key=lambda component: (component.name, component.distribution)))

    def choose(self, kind: Kind, name: str) -> Component:
        """The component of that name, bare or `distribution:name`.

        Raises `UnknownPluginError` where none or several answer to it.
        """
        return choose(kind, name, self.components(kind), self._plugins)

    def streamer_for(self, target: str) -> Component:
        """The streamer that writes to a path or address, chosen by suffix, URL scheme, or as a folder.

        Raises `UnknownPluginError` that names what is accepted.
        """
        return choose_streamer(target, self.components(Kind.STREAMER))

    def modules(self) -> dict[str, object]:
        """The imported plugins that can be used, by qualified name."""
        return dict(self._modules)

    def relay(self, extra: Iterable[object] = ()) -> Relay:
        """A fresh relay for one engine: every usable plugin, then `extra` ones such as built profilers."""
        from inferix_core.relay import Relay  # listing and describing need no relay

        relay = Relay()
        for name, plugin in self._modules.items():
            relay.register(plugin, name)
        for index, plugin in enumerate(extra):
            relay.register(plugin, f"{type(plugin).__name__}-{index}")
        return relay

    def inventory(self) -> tuple[str, ...]:
        """One line for each plugin and component: what ranks compare, and print where it differs."""
        lines = []
        for record in self._plugins:
            lines.append(f"{record.qualified_name} {record.version} {record.state.value}")
            lines += [
                f"{component.kind.slug} {component.qualified_name} {component.version} api {component.spec.api}"
                for component in record.components
            ]
        return tuple(sorted(lines))

    def digest(self) -> str:
        """A SHA-256 over the inventory, the same on every rank that holds the same plugins."""
        return hashlib.sha256("\n".join(self.inventory()).encode()).hexdigest()
