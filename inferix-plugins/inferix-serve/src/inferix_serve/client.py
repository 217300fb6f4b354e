"""A client for programs: worlds of a server over REST and WebSocket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
from inferix_core.errors import OutputError

from inferix_serve.live import Live
from inferix_serve.problems import RefusedError

DEFAULT_ADDRESS = "http://127.0.0.1:8000"
_PICTURE_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


class Client:
    """A server. Every method waits for its answer and raises `RefusedError` where the server will not."""

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, token: str | None = None, timeout_seconds: float = 60.0
    ) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._address = address.rstrip("/")
        self._headers = headers
        self._http = httpx2.Client(base_url=self._address, headers=headers, timeout=timeout_seconds)

    @property
    def server(self) -> Mapping[str, Any]:
        """What the server says of itself: model, actions, sizes, policy, limits."""
        described: Mapping[str, Any] = self._asked("GET", "/v1/server")
        return described

    @property
    def worlds(self) -> Sequence[RemoteWorld]:
        """All worlds, those asleep included, the newest first."""
        return [RemoteWorld(self, view["id"]) for view in self._asked("GET", "/v1/worlds")]

    @property
    def saved(self) -> Sequence[Mapping[str, Any]]:
        """All saved worlds, the newest first."""
        found: Sequence[Mapping[str, Any]] = self._asked("GET", "/v1/saved")
        return found

    def create_world(self, prompt: str | None = None, **options: Any) -> RemoteWorld:
        """A new world; `options` are those of `POST /v1/worlds`, e.g. seed, paused, picture."""
        body = {**({} if prompt is None else {"prompt": prompt}), **options}
        return RemoteWorld(self, self._asked("POST", "/v1/worlds", body)["id"])

    def load_world(self, saved: str) -> RemoteWorld:
        """A new world that goes on from a saved one."""
        return self.create_world(saved=saved)

    def world(self, name: str) -> RemoteWorld:
        """The world of that id, which is not asked for yet."""
        return RemoteWorld(self, name)

    def remove_saved(self, saved: str) -> None:
        """Deletes a saved world."""
        self._asked("DELETE", f"/v1/saved/{saved}")

    def upload_picture(self, path: str | Path) -> str:
        """The id of a picture for `create_world(picture=…)`."""
        path = Path(path)
        kind = _PICTURE_TYPES.get(path.suffix.lower(), "application/octet-stream")
        answer = self._http.post("/v1/pictures", content=path.read_bytes(), headers={"content-type": kind})
        return str(_checked(answer)["id"])

    def order_video(self, prompt: str, **options: Any) -> Mapping[str, Any]:
        """Asks for a video; `options` are those of `POST /v1/videos`: seconds, seed, signals."""
        video: Mapping[str, Any] = self._asked("POST", "/v1/videos", {"prompt": prompt, **options})
        return video

    def video(self, name: str) -> Mapping[str, Any]:
        """A video that was asked for, with its state and progress."""
        video: Mapping[str, Any] = self._asked("GET", f"/v1/videos/{name}")
        return video

    def download_video(self, name: str, path: str | Path) -> None:
        """Writes a finished video to a file."""
        with self._http.stream("GET", f"/v1/videos/{name}/file") as answer:
            if answer.status_code != httpx2.codes.OK:
                answer.read()
                _checked(answer)
            with Path(path).open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)

    @property
    def outputs(self) -> Sequence[Mapping[str, Any]]:
        """Where worlds go out besides to viewers, as the operator named it."""
        found: Sequence[Mapping[str, Any]] = self._asked("GET", "/v1/outputs")
        return found

    def show_on_output(self, number: int, world: str | None) -> Mapping[str, Any]:
        """Puts another world on an output, or none; its stream goes on without a break."""
        output: Mapping[str, Any] = self._asked("PUT", f"/v1/outputs/{number}", {"world": world})
        return output

    def metrics(self) -> str:
        """The metrics, in Prometheus' text format."""
        return self._http.get("/metrics").raise_for_status().text

    @contextmanager
    def live(self, world: str, *, pictures: bool = True) -> Iterator[Live]:
        """Watches a world for the length of a body, with its frames unless told otherwise."""
        parts = urlsplit(self._address)
        scheme = "wss" if parts.scheme == "https" else "ws"
        address = f"{scheme}://{parts.netloc}/v1/worlds/{world}/live"
        with Live(address, headers=self._headers, pictures=pictures) as watched:
            yield watched

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.TransportError as error:
            raise OutputError(
                f"There is no answer from {self._address}: {error}. Is `inferix serve` running?"
            ) from error
        return None if answer.status_code == httpx2.codes.NO_CONTENT else _checked(answer)


class RemoteWorld:
    """A world of a server. Commands return the acknowledgement, whose `block` is the first that they affect."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.id = name

    @property
    def view(self) -> Mapping[str, Any]:
        """The world's state now."""
        view: Mapping[str, Any] = self._client._asked("GET", f"/v1/worlds/{self.id}")
        return view

    def signal(
        self,
        *,
        prompt: str | None = None,
        action: str | None = None,
        seed: int | None = None,
        signal_id: str | None = None,
    ) -> Mapping[str, Any]:
        """Tells the world something."""
        return self._command("signals", prompt=prompt, action=action, seed=seed, id=signal_id)

    def hold(self, action: str | None) -> Mapping[str, Any]:
        """Holds an action, block after block; None lets go."""
        return self._command("hold", action=action)

    def pause(self) -> Mapping[str, Any]:
        """Stops the world."""
        return self._command("pause")

    def resume(self) -> Mapping[str, Any]:
        """Lets it go on."""
        return self._command("resume")

    def step(self, num_blocks: int = 1) -> Mapping[str, Any]:
        """Makes blocks of a paused world."""
        return self._command("step", num_blocks=num_blocks)

    def rewind(self, num_blocks: int) -> Mapping[str, Any]:
        """Goes back to when so many blocks were finished."""
        return self._command("rewind", num_blocks=num_blocks)

    def fork(self, *, seed: int | None = None) -> RemoteWorld:
        """A world that goes on from here beside this one."""
        return RemoteWorld(self._client, self._command("fork", seed=seed)["child"]["id"])

    def save(self) -> str:
        """The id of a save, for `Client.load_world`."""
        return str(self._command("save")["saved"])

    def close(self) -> None:
        """Closes the world for good."""
        self._client._asked("DELETE", f"/v1/worlds/{self.id}")

    def live(self, *, pictures: bool = True) -> Any:
        """See `Client.live`."""
        return self._client.live(self.id, pictures=pictures)

    def _command(self, verb: str, **fields: Any) -> Mapping[str, Any]:
        body = {key: value for key, value in fields.items() if value is not None}
        acknowledged: Mapping[str, Any] = self._client._asked("POST", f"/v1/worlds/{self.id}/{verb}", body)
        return acknowledged


def _checked(answer: httpx2.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"code": "http", "message": f"The server answered {answer.status_code}."}
    details = {key: value for key, value in error.items() if key not in ("code", "message")}
    raise RefusedError(answer.status_code, str(error["code"]), str(error["message"]), **details)
