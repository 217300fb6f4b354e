"""Scripts: what a world is told, and when, in a TOML file; free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from inferix_core.configuration.problems import Problem, problems_of, raise_problems
from inferix_core.configuration.toml_file import read_toml
from inferix_core.signals import Signal, TimedSignal

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Entry(BaseModel):
    """One `[[signals]]` table: a time, and what is told then."""

    model_config = _STRICT

    at: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = Field(
        default=None, description="When it is told.", json_schema_extra={"unit": "seconds"}
    )
    at_block: NonNegativeInt | None = Field(default=None, description="Once so many blocks are finished.")
    prompt: str | None = Field(default=None, description="What the world shows from then on.")
    negative_prompt: str | None = Field(default=None, description="What guided models lead away from from then on.")
    action: str | None = Field(default=None, description="What is done in the next block.")
    id: str | None = Field(default=None, description="A name of one's own for the signal.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.at is None) == (self.at_block is None):
            found = "neither" if self.at is None else "both"
            raise ValueError(f"needs at = … (seconds) or at_block = … (finished blocks), found {found}.")
        if self.prompt is None and self.negative_prompt is None and self.action is None:
            raise ValueError("tells nothing. Give it a prompt, a negative_prompt or an action.")
        if self.prompt is not None and not self.prompt.strip():
            raise ValueError("has an empty prompt. Say what the world should show, or leave the prompt out.")
        return self

    def timed(self) -> TimedSignal:
        """The entry as a signal."""
        prompt = None if self.prompt is None else self.prompt.strip()
        signal = Signal(prompt=prompt, negative_prompt=self.negative_prompt, action=self.action, id=self.id)
        return TimedSignal(self.at, signal, self.at_block)


class _Script(BaseModel):
    model_config = _STRICT

    signals: list[_Entry] = Field(min_length=1, description="At least one [[signals]] table")


def load_script(path: str | Path) -> list[TimedSignal]:
    """The signals of a script, in the order of the file, for `World.run`.

    A script is a list of `[[signals]]` tables. Each has `at` (seconds) or `at_block` (finished blocks), both counted
    from the start of the run, and one or more of `prompt`, `negative_prompt` and `action`; `id` is optional.

    Raises `ConfigError` for a file that is missing or no TOML, and for every key or value that is not accepted, with
    its path and the nearest name. Whether a model understands the signals is found when a world is told.
    """
    path = Path(path)
    try:
        script = _Script.model_validate(read_toml(path, what="script"))
    except ValidationError as error:
        found = problems_of(error, _Script)
        raise_problems([Problem(f"{path}: {one.path}", one.sentence) for one in found], f"the script '{path}'")
        raise
    return [entry.timed() for entry in script.signals]
