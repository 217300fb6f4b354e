"""Whether the log in a world file can be that of its world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferix_core.replay.order import misplaced
from inferix_core.runtime.log import BlockRecord

if TYPE_CHECKING:
    from inferix_core.worldfile.world_file import WorldFile


def check_records(file: WorldFile) -> None:
    """Raises `WorldFileError` for records in an order that no world has, or of another number of blocks."""
    state = file.manifest.state
    if (found := misplaced(state.log)) is not None:
        raise file.damage(f"record {found[0]} of its log does not fit: {found[1]}")
    num_recorded = sum(isinstance(one, BlockRecord) for one in state.log)
    if num_recorded != state.num_finished:
        raise file.damage(f"its log has {num_recorded} blocks where {state.num_finished} are finished")
