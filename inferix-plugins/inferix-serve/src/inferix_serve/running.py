"""From options to a server that runs. Imports torch and the web framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import uvicorn
from inferix_core import Engine
from inferix_core.errors import OutputError

from inferix_serve.hall.hall import Hall
from inferix_serve.web.app import build_app

if TYPE_CHECKING:
    from inferix_core import Catalog

    from inferix_serve.settings import ServeSettings

_CLOSE_SECONDS = 3
_SOCKET_PING_SECONDS = 15.0


def build_hall(raw: Mapping[str, Any], overrides: Sequence[str], settings: ServeSettings, catalog: Catalog) -> Hall:
    """A hall over the engine that the configuration describes."""
    engine = Engine.load(config=raw, overrides=overrides, catalog=catalog)
    actions = () if engine.config is None else engine.config.model.actions
    return Hall(engine, settings, actions=actions)


class Server(uvicorn.Server):
    """uvicorn over a hall. `run` serves until Ctrl-C or SIGTERM; `on_ready` is told the address before that."""

    def __init__(self, hall: Hall, *, on_ready: Callable[[str], None] = lambda _: None) -> None:
        settings = hall.settings
        self._on_ready = on_ready
        super().__init__(
            uvicorn.Config(
                build_app(hall),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws_max_size=settings.limits.max_body_bytes,
                ws_ping_interval=_SOCKET_PING_SECONDS,
                ws_ping_timeout=_SOCKET_PING_SECONDS,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )

    @property
    def address(self) -> str:
        """Where the server is reached, once it has started."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def startup(self, sockets: Any = None) -> None:
        """Starts listening. Raises `OutputError` where the address cannot be taken."""
        try:
            await super().startup(sockets)
        except SystemExit as exit_:  # how uvicorn says that it cannot listen
            raise OutputError(
                f"{self.config.host}:{self.config.port} cannot be listened on; something else may. Choose another "
                "--port, or 0 for a free one."
            ) from exit_
        if self.started:
            self._on_ready(self.address)
