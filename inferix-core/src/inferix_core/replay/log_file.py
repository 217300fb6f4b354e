"""A world's log as a file: JSON lines, first a header, then one record a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from pydantic import ValidationError

from inferix_core.contracts.model import Condition, Conditions
from inferix_core.errors import UnsupportedError, WorldFileError
from inferix_core.replay.lines import FORMAT, VERSION, ConditionText, Header, TensorText, line_of, parsed_record
from inferix_core.replay.order import misplaced
from inferix_core.replay.recording import Recording, recording_of
from inferix_core.runtime.log import Record, SeedRecord

if TYPE_CHECKING:
    from inferix_core.runtime.world import World


def write_log(world: World, path: str | Path) -> None:
    """Writes the log of a world, from which `Replay` makes it again.

    The file is complete or not there: an earlier one under that name stays until then. Raises `OutputError` where it
    cannot be written, `UnsupportedError` for a world whose noise is not its seed's, or that began with conditions of
    another dtype than a log can hold.
    """
    from inferix_core.worldfile.whole_file import replacing  # that package reads recordings of this one

    path, recording = Path(path), recording_of(world)
    header = Header(
        format=FORMAT,
        version=VERSION,
        model=recording.model,
        config=None if recording.config is None else dict(recording.config),
        horizon=recording.horizon,
        prefix=None if recording.prefix is None else TensorText.of(recording.prefix),
        circumstances=recording.circumstances,
        conditions={name: _as_text(name, one) for name, one in recording.conditions.items()},
    )
    lines = [json.dumps(header.model_dump(mode="json"), ensure_ascii=False), *map(line_of, recording.records)]
    with replacing(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def read_log(path: str | Path) -> Recording:
    """The recording in a file that `write_log` wrote.

    A last line that ends in the middle, as a crash leaves it, costs a warning. Raises `WorldFileError` for a file that
    is missing, of another kind or version, or damaged, naming the line.
    """
    path = Path(path)
    lines = list(_lines(path))
    header = _header(path, lines[0] if lines else "")
    return Recording(
        model=header.model,
        config=header.config,
        horizon=header.horizon,
        prefix=None if header.prefix is None else _tensor(path, header.prefix, "the prefix"),
        circumstances=header.circumstances,
        records=_records(path, lines[1:]),
        conditions=_conditions(path, header),
    )


_FIRST_RECORD = 2
_WHAT_TO_DO = "The file was damaged or edited; take a copy that was not."


def _lines(path: Path) -> Iterator[str]:
    """The lines without their ends; a last one that has none and makes no sense is left out."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise WorldFileError(f"There is no log '{path}' (looked from {Path.cwd()}).") from error
    except OSError as error:
        raise WorldFileError(f"The log '{path}' cannot be read: {error.strerror}.") from error
    *whole, last = raw.split(b"\n")
    for number, line in enumerate(whole, start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_a_log(path) if number == 1 else _damaged(path, number, repr(line)) from error
    if last:
        try:
            yield json.dumps(json.loads(last), ensure_ascii=False)
        except ValueError as error:
            if not whole:
                raise _not_a_log(path) from error
            logger.warning(f"The last line of '{path}' ends in the middle and is left out: {last[:60]!r}.")


def _header(path: Path, line: str) -> Header:
    try:
        fields: Any = json.loads(line)
    except ValueError as error:
        raise _not_a_log(path) from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise _not_a_log(path)
    if fields.get("version") != VERSION:
        raise WorldFileError(
            f"'{path}' is a world's log of format version {fields.get('version')!r}; this inferix-core reads "
            f"{VERSION}. Use the inferix-core that wrote it, or a newer one."
        )
    try:
        return Header.model_validate(fields)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
        raise WorldFileError(f"'{path}', line 1: the header does not fit at {places}. {_WHAT_TO_DO}") from error


def _records(path: Path, lines: list[str]) -> list[Record]:
    """The records, in an order that is possible."""
    records: list[Record] = []
    for number, line in enumerate(lines, start=_FIRST_RECORD):
        try:
            records.append(parsed_record(line))
        except ValueError as error:
            raise _damaged(path, number, line) from error
    if not records or not isinstance(records[0], SeedRecord) or records[0].num_blocks != 0:
        raise WorldFileError(
            f"'{path}', line {_FIRST_RECORD}: a log's first record is the seed of the world. {_WHAT_TO_DO}"
        )
    if (found := misplaced(records)) is not None:
        raise WorldFileError(f"'{path}', line {found[0] + _FIRST_RECORD}: {found[1]}. {_WHAT_TO_DO}")
    return records


def _conditions(path: Path, header: Header) -> Conditions:
    return {
        name: Condition(_tensor(path, one.tokens, f"the condition '{name}'"), one.memo)
        for name, one in header.conditions.items()
    }


def _as_text(name: str, condition: Condition) -> ConditionText:
    try:
        return ConditionText(tokens=TensorText.of(condition.tokens), memo=condition.memo)
    except ValueError as error:
        raise UnsupportedError(
            f"The world began with the condition '{name}' of {condition.tokens.dtype}, which a log does not hold: it "
            "would be no proof. Give it in float32, bfloat16 or float16."
        ) from error


def _tensor(path: Path, text: TensorText, what: str) -> Any:
    try:
        return text.tensor()
    except ValueError as error:
        raise WorldFileError(f"'{path}', line 1: {what} does not fit: {error}. {_WHAT_TO_DO}") from error


def _not_a_log(path: Path) -> WorldFileError:
    return WorldFileError(
        f"'{path}' is not a world's log, which begins with a line of JSON. `inferix generate --log FILE` writes one; "
        "the log inside a saved world is replayed by `inferix world replay`."
    )


def _damaged(path: Path, number: int, line: str) -> WorldFileError:
    return WorldFileError(f"'{path}', line {number} is no record: {line[:80]}. {_WHAT_TO_DO}")
