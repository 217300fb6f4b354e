"""Configuration: TOML tables in, chosen components with validated settings out."""

from inferix_core.configuration.json_schema import schema
from inferix_core.configuration.merging import merge
from inferix_core.configuration.resolution import ResolvedConfig, Selected, resolve, validated
from inferix_core.configuration.skeleton import RunConfig, RunSettings
from inferix_core.configuration.toml_file import apply_overrides, load_toml

__all__ = [
    "ResolvedConfig",
    "RunConfig",
    "RunSettings",
    "Selected",
    "apply_overrides",
    "load_toml",
    "merge",
    "resolve",
    "schema",
    "validated",
]
