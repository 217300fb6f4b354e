"""The names of guidance branches and of their caches; free of torch."""

from __future__ import annotations

NULL = "null"
"""The branch that runs under the negative prompt, and the cache of its keys and values."""
