"""What requests may say. Lengths that depend on the configuration are checked where it is known."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from inferix_serve.hall.names import PATTERN

MAX_SEED = 2**63 - 1


def _plain(text: str) -> str:
    """Text that can be written and read again: no half characters, no control characters but line breaks."""
    if any(0xD800 <= ord(one) <= 0xDFFF or (ord(one) < 32 and one not in "\n\r\t") or ord(one) == 127 for one in text):
        raise ValueError("the text has characters that are none")
    return text


Text = Annotated[str, AfterValidator(_plain)]
Prompt = Annotated[Text, Field(min_length=1, description="What the world shows from the next block on.")]
Action = Annotated[Text, Field(min_length=1, max_length=100, description="One of the model's actions.")]
SignalId = Annotated[Text, Field(min_length=1, max_length=100, description="Comes back with the block that shows it.")]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, description="The noise of what is still to come.")]
Name = Annotated[str, Field(pattern=PATTERN)]
NumBlocks = Annotated[int, Field(ge=0, le=10**9)]


class Body(BaseModel):
    """The base of all bodies: a key that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NewWorld(Body):
    """A world to begin, or to go on with from a saved one."""

    prompt: Prompt | None = None
    seed: Seed | None = Field(None, description="Without one, a random seed.")
    picture: Name | None = Field(None, description="An uploaded picture that the world begins with.")
    fit: Literal["crop", "pad"] = Field("crop", description="What becomes of a picture of another aspect ratio.")
    num_blocks: int | None = Field(None, ge=1, le=10**6, description="The horizon, for models that need one.")
    paused: bool = Field(False, description="Whether it stands still until it is stepped or resumed.")
    saved: Name | None = Field(None, description="A saved world to go on with; nothing else may be given then.")


class SignalBody(Body):
    """What is told to a world."""

    prompt: Prompt | None = None
    action: Action | None = None
    seed: Seed | None = None
    id: SignalId | None = None


class HoldBody(Body):
    """An action that lasts until it is let go (null)."""

    action: Action | None = None
    id: SignalId | None = None


class StepBody(Body):
    """How many blocks a paused world makes."""

    num_blocks: int = Field(1, ge=1, le=16)


class RewindBody(Body):
    """Back to when so many blocks were finished."""

    num_blocks: NumBlocks


class ForkBody(Body):
    """A branch; with a seed, its noise is its own."""

    seed: Seed | None = None


class TimedSignalBody(Body):
    """A signal at a time of a video."""

    seconds: float = Field(ge=0.0, le=86_400.0)
    prompt: Prompt | None = None
    action: Action | None = None


class NewVideo(Body):
    """A video to be made in the background."""

    prompt: Prompt
    seconds: float = Field(5.0, gt=0.0, le=86_400.0)
    seed: Seed | None = None
    signals: list[TimedSignalBody] = Field(default_factory=list, max_length=200)


class World(BaseModel):
    """The state of a world."""

    model_config = ConfigDict(extra="allow")

    id: str
    state: Literal["playing", "waiting", "paused", "failed", "asleep"]
    parent: str | None
    created: float
    prompt: str | None
    prompts: list[dict[str, Any]]
    seed: int
    held_action: str | None
    num_blocks: int
    next_block: int
    oldest_reachable: int
    num_frames: int
    seconds: float
    kv_bytes: int
    viewers: int
    missed_deadlines: int
    block_ms: dict[str, float] | None
    input_to_photon_ms: dict[str, float] | None
    error: str | None


class Acknowledgement(BaseModel):
    """A command that was carried out: `block` is the first that it affects."""

    world: str
    block: int
    signal: str | None = None
    saved: str | None = None
    child: World | None = None


class Saved(BaseModel):
    """A saved world."""

    id: str
    world: str | None
    created: float
    prompt: str | None
    seed: int
    num_blocks: int
    seconds: float


class Picture(BaseModel):
    """An uploaded picture."""

    id: str
    height: int
    width: int


class Video(BaseModel):
    """A video that was asked for."""

    id: str
    prompt: str
    seconds: float
    seed: int
    signals: list[dict[str, Any]]
    created: float
    state: Literal["waiting", "making", "done", "failed"]
    progress: float
    error: str | None


class OutputBody(Body):
    """The world that an output shows; null for none."""

    world: Name | None


class Output(BaseModel):
    """An output that the operator named, and what went out of it."""

    number: int
    target: str
    world: str | None
    frames: int
    dropped: int
    failed: bool


class ErrorDetail(BaseModel):
    """Why something was not done."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str


class ErrorBody(BaseModel):
    """What a refused request is answered with."""

    error: ErrorDetail
