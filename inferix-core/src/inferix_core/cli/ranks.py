"""What the ranks of `inferix generate` do that do not drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferix_core.runtime.engine import Engine

if TYPE_CHECKING:
    from inferix_core.catalog import Catalog
    from inferix_core.configuration import ResolvedConfig


def follow(config: ResolvedConfig, catalog: Catalog) -> None:
    """Does what rank 0 does until it has closed its engine. Raises `RankError` when a rank is gone."""
    engine = Engine.build(config, catalog)
    try:
        engine.follow()
    finally:
        engine.close()
