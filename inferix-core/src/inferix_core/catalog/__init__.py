"""What is installed: discovery, the states of plugins, and choosing components by name."""

from inferix_core.catalog.catalog import Catalog
from inferix_core.catalog.records import Component, PluginRecord, State

__all__ = ["Catalog", "Component", "PluginRecord", "State"]
