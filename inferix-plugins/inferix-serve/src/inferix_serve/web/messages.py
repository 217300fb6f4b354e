"""What a viewer may say over the WebSocket of a world."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from inferix_serve.web.schemas import Action, Body, ForkBody, Prompt, RewindBody, Seed, SignalId, StepBody, Text


class Said(Body):
    """The base of all messages; `ref` comes back with the answer."""

    ref: Annotated[int, Field(ge=0, le=2**53)] | None = None


class SaidSignal(Said):
    """As `POST …/signals`."""

    type: Literal["signal"]
    prompt: Prompt | None = None
    action: Action | None = None
    seed: Seed | None = None
    id: SignalId | None = None


class SaidHold(Said):
    """As `POST …/hold`."""

    type: Literal["hold"]
    action: Action | None = None
    id: SignalId | None = None


class SaidSimple(Said):
    """As the request of that name."""

    type: Literal["pause", "resume", "save"]


class SaidStep(Said, StepBody):
    """As `POST …/step`."""

    type: Literal["step"]


class SaidRewind(Said, RewindBody):
    """As `POST …/rewind`."""

    type: Literal["rewind"]


class SaidFork(Said, ForkBody):
    """As `POST …/fork`."""

    type: Literal["fork"]


class SaidWatch(Said):
    """Whether frames shall come as JPEGs over this WebSocket."""

    type: Literal["watch"]
    pictures: bool


class SaidOffer(Said):
    """A WebRTC offer; it is answered with `answer`."""

    type: Literal["offer"]
    sdp: Annotated[Text, Field(max_length=60_000)]


class SaidHangUp(Said):
    """The end of the WebRTC connection."""

    type: Literal["hang-up"]


class SaidPing(Said):
    """Answered at once, so that the viewer learns how far away the server is."""

    type: Literal["ping"]


Message = Annotated[
    SaidSignal
    | SaidHold
    | SaidSimple
    | SaidStep
    | SaidRewind
    | SaidFork
    | SaidWatch
    | SaidOffer
    | SaidHangUp
    | SaidPing,
    Field(discriminator="type"),
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Message)


def read_message(text: str) -> Any:
    """The message. Raises `pydantic.ValidationError`."""
    return _ADAPTER.validate_json(text)
