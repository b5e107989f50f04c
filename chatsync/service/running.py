"""Running the relay under uvicorn: the socket's limits, TLS, signals.

Owns: uvicorn's configuration. Does not know: what is served.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn
from fastapi import FastAPI

from chatsync.service.app import create_app
from chatsync.service.collecting import Collector
from chatsync.service.hub import Hub
from chatsync.service.logs import configure_logs
from chatsync.service.settings import Settings
from chatsync.service.short_path import ShortPathProtocol
from chatsync.service.sockets import LiveSocket

__all__ = ["RelayServer", "run_service"]

_SWITCH_S = 0.0005  # how long a thread may keep Python to itself; at the usual 5 ms each system call of the loop may cost as much
STOP_S = 5  # connections are told to come back; who does not go is cut


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the relay: sockets by a class of ours, without compression; no access log (paths name rooms)."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws=LiveSocket,
        http=ShortPathProtocol,
        ssl_certfile=None if settings.tls_cert is None else str(settings.tls_cert),
        ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips=list(settings.trusted_proxies) or "127.0.0.1",
        server_header=False,
        date_header=True,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_S,
    )


class RelayServer(uvicorn.Server):
    """uvicorn, with one thing done before it stops: sockets are told to come back (4001), not that a server went away."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(_config(app, settings))
        self._app = app
        self._collecting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then collect garbage as :mod:`chatsync.service.collecting` says."""
        await super().startup(sockets)
        collector = Collector()
        collector.begin()
        self._collecting = asyncio.create_task(collector.run(), name="garbage")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, say goodbye, then stop as uvicorn does."""
        if self._collecting is not None:
            self._collecting.cancel()
        for server in self.servers:
            server.close()
        hub: Hub | None = getattr(self._app.state, "hub", None)
        if hub is not None:
            await hub.send_away()
        await super().shutdown(sockets)


def run_service(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: the settings are unsafe.
        StoreError: the data folder cannot be opened.
    """
    configure_logs()
    sys.setswitchinterval(_SWITCH_S)
    RelayServer(create_app(settings, has_worker=True), settings).run()
