"""Scripts for recorded runs: what a viewer does at which moment. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from inferix_core import load_toml
from inferix_core.errors import ConfigError
from inferix_core.specs import ComponentConfig
from pydantic import Field, ValidationError, model_validator


class Begun(ComponentConfig):
    """The table `[world]`."""

    prompt: str | None = Field(None, description="What the world shows at its beginning.")
    seed: int | None = Field(None, ge=0, description="The seed; a random one if not given.")


class Recorded(ComponentConfig):
    """The table `[record]`."""

    seconds: float = Field(10.0, gt=0.0, le=3600.0, description="How long the viewer watches.")
    video: Path | None = Field(None, description="Where the frames go that the viewer saw (mp4).")
    report: Path | None = Field(None, description="Where the measurements go (JSON).")


class Moment(ComponentConfig):
    """One table `[[at]]`: at `seconds`, do one thing."""

    seconds: float = Field(ge=0.0, description="When, after the first frame was seen.")
    prompt: str | None = Field(None, description="Change the prompt.")
    action: str | None = Field(None, description="Do something, for one block or for hold_seconds.")
    hold_seconds: float | None = Field(None, gt=0.0, description="How long the action is held.")
    do: Literal["pause", "resume", "step", "rewind", "save"] | None = Field(None, description="A command.")
    num_blocks: int | None = Field(None, ge=1, description="How many blocks to go back or to step.")

    @model_validator(mode="after")
    def _one_thing(self) -> Moment:
        if sum(one is not None for one in (self.prompt, self.action, self.do)) != 1:
            raise ValueError("give one of prompt, action and do")
        if self.hold_seconds is not None and self.action is None:
            raise ValueError("hold_seconds belongs to an action")
        if self.do == "rewind" and self.num_blocks is None:
            raise ValueError("a rewind needs num_blocks")
        return self


class Script(ComponentConfig):
    """A whole script."""

    world: Begun = Field(default_factory=lambda: Begun.model_validate({}), description="The world to begin.")
    record: Recorded = Field(default_factory=lambda: Recorded.model_validate({}), description="How long, and where to.")
    at: tuple[Moment, ...] = Field((), description="What to do, in any order.")


def read_script(path: Path) -> Script:
    """The script in a TOML file; paths in it are meant from its folder. Raises `ConfigError`."""
    raw: dict[str, Any] = load_toml(path)
    try:
        script = Script.model_validate(raw)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        raise ConfigError(f"The script '{path}' cannot be carried out: {'; '.join(problems)}.") from error
    late = [moment.seconds for moment in script.at if moment.seconds >= script.record.seconds]
    if late:
        raise ConfigError(
            f"The script '{path}' watches for {script.record.seconds:g} s, but does something at {late[0]:g} s. "
            "Raise record.seconds."
        )
    return script
