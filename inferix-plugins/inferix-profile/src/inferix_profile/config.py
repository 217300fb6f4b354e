"""What users may set for the profiler; free of torch."""

from __future__ import annotations

from typing import Literal

from inferix_core.specs import ComponentConfig
from pydantic import Field


class TraceConfig(ComponentConfig):
    """The profiler `trace`."""

    table: bool = Field(default=True, description="Whether a table is printed to stderr at the end.")
    json_path: str | None = Field(
        default=None, description="A JSON file that is written at the end: the summary and one entry for each block."
    )
    chrome_path: str | None = Field(
        default=None, description="A trace that is written at the end for Perfetto or chrome://tracing."
    )
    synchronize: Literal["never", "block", "pass"] = Field(
        default="never",
        description="Where the host waits for the device, so that its time is counted where it is spent: never, around "
        "each block, or around each pass as well, which costs speed.",
    )
    metrics: tuple[str, ...] = Field(
        default=(),
        description="Callbacks `module:function` that are given each block and return numbers by name.",
    )
    num_kept_blocks: int = Field(
        default=10_000,
        ge=1,
        description="Blocks, and as many own spans and metrics, that are kept one by one for the files; older ones "
        "count in the table alone.",
    )
