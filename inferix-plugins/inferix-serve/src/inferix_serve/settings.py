"""What an operator may set of the server: the table `[serve]` of a configuration. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from inferix_core.errors import ConfigError
from inferix_core.specs import ComponentConfig
from pydantic import Field, SecretStr, ValidationError

MIN_TOKEN_CHARACTERS = 16
_OUTPUT_SCHEMES, PLAYLIST = ("rtmp://", "rtmps://"), ".m3u8"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Limits(ComponentConfig):
    """How much of anything the server takes on. Beyond a number it answers 429, beyond a size 413."""

    max_worlds: int = Field(8, ge=1, le=10_000, description="Worlds that live at once; sleeping ones do not count.")
    max_viewers: int = Field(32, ge=1, le=100_000, description="Viewers of all worlds together.")
    max_queued_commands: int = Field(32, ge=1, le=10_000, description="Commands that wait for one world.")
    max_prompt_characters: int = Field(1000, ge=1, le=100_000, description="Length of a prompt.")
    max_body_bytes: int = Field(65_536, ge=1024, description="Bytes of a request that is no upload.")
    max_upload_bytes: int = Field(8_388_608, ge=1024, description="Bytes of an uploaded picture.")
    max_picture_pixels: int = Field(16_777_216, ge=1024, description="Pixels of an uploaded picture.")
    max_pictures: int = Field(
        16, ge=1, le=10_000, description="Uploaded pictures that are kept; the oldest goes first."
    )
    max_saved_worlds: int = Field(100, ge=1, le=100_000, description="Saved worlds on the disk.")
    max_sleeping_worlds: int = Field(
        100, ge=1, le=100_000, description="Sleeping worlds on the disk; beyond them worlds stay awake."
    )
    max_waiting_videos: int = Field(8, ge=1, le=10_000, description="Videos that wait to be made.")
    max_kept_videos: int = Field(50, ge=1, le=100_000, description="Finished videos; the oldest is removed.")
    max_video_seconds: float = Field(120.0, gt=0.0, le=86_400.0, description="Seconds of one video.")


class ServeSettings(ComponentConfig):
    """The table `[serve]`."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but this machine's own needs a token.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    token: SecretStr | None = Field(None, description="What viewers must know; at least 16 characters.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Names under which the server is reached, besides addresses and localhost."
    )
    folder: Path = Field(
        Path("~/.inferix/serve"), description="Where sleeping and saved worlds, and finished videos, are kept."
    )
    limits: Limits = Field(
        default_factory=lambda: Limits.model_validate({}), description="How much of anything the server takes on."
    )
    pause_after_seconds: Annotated[float, Field(gt=0.0)] = Field(
        5.0, description="A world that nobody has watched for so long stands still."
    )
    sleep_after_seconds: Annotated[float, Field(gt=0.0)] = Field(
        300.0, description="A world that nobody has watched for so long is saved to the disk and closed."
    )
    codec: Literal["vp8", "h264"] = Field("vp8", description="Video codec that WebRTC prefers.")
    ice_servers: tuple[str, ...] = Field(
        (), description="STUN or TURN servers for WebRTC; none are needed on one machine or in one network."
    )
    jpeg_quality: int = Field(88, ge=10, le=100, description="Quality of the pictures where WebRTC cannot connect.")
    stalled_viewer_seconds: float = Field(
        10.0, gt=0.0, description="A viewer that takes nothing for so long is sent away."
    )
    outputs: tuple[str, ...] = Field(
        (), description="Where a world goes out as well: rtmp://host/application/name, or a playlist such as live.m3u8."
    )
    mark_frames: bool = Field(False, description="Paint each frame's number into its top rows, for measuring.")

    @property
    def is_public(self) -> bool:
        """Whether other machines can reach the server."""
        return self.host not in LOOPBACK

    def checked(self) -> ServeSettings:
        """The same. Raises `ConfigError` for an open address without a token, or a token that is easy to guess."""
        token = None if self.token is None else self.token.get_secret_value()
        if token is not None and (len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable()):
            raise ConfigError(
                f"The token has {len(token)} characters; at least {MIN_TOKEN_CHARACTERS} printable ASCII ones are "
                "needed. Make one: python -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        if self.is_public and token is None:
            raise ConfigError(
                f"Listening on {self.host} lets other machines in, so it needs a token: set INFERIX_TOKEN "
                "(or --token) to at least 16 characters that nobody guesses, or listen on 127.0.0.1."
            )
        for target in self.outputs:
            if not target.startswith(_OUTPUT_SCHEMES) and not target.endswith(PLAYLIST):
                raise ConfigError(
                    f"serve.outputs: '{target}' is no live output. Give rtmp://host[:port]/application/name, "
                    f"rtmps://…, or a playlist that ends in {PLAYLIST}. For a video file: POST /v1/videos, or --record."
                )
        return self


def settings_from(table: Mapping[str, Any]) -> ServeSettings:
    """The settings of a table `[serve]`. Raises `ConfigError` that tells of every problem."""
    try:
        return ServeSettings.model_validate(table).checked()
    except ValidationError as error:
        problems = [
            f"serve.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        ]
        known = ", ".join(ServeSettings.model_fields)
        raise ConfigError(f"{'; '.join(problems)}. Keys of [serve]: {known}.") from error
