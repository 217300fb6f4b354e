"""Which order of records a world can have had."""

from __future__ import annotations

from collections.abc import Iterable

from inferix_core.runtime.log import BlockRecord, Record, SignalRecord


def misplaced(records: Iterable[Record]) -> tuple[int, str] | None:
    """The index of the first record that cannot be where it is, and why; None where all can.

    Blocks follow one another from 0. Seeds and changes name the number of blocks before them. A signal is recorded
    when its block begins, which may be several blocks before that one is finished: it names no finished block, and none
    before the block of an earlier signal. How early a block begins is the planner's affair; a replay finds out.
    """
    num_blocks = first_to_hear = 0
    for index, record in enumerate(records):
        if isinstance(record, BlockRecord):
            if record.block != num_blocks:
                return index, f"block {record.block} was found where block {num_blocks} belongs"
            num_blocks += 1
        elif isinstance(record, SignalRecord):
            first_to_hear = max(first_to_hear, num_blocks)
            if record.block < first_to_hear:
                return index, f"a signal for block {record.block} was found where block {first_to_hear} is the earliest"
            first_to_hear = record.block
        elif record.num_blocks != num_blocks:
            return index, f"a record of {record.num_blocks} finished blocks was found where {num_blocks} are finished"
    return None
