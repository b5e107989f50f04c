"""Running the relay under uvicorn: the socket's limits, TLS, signals.

Owns: uvicorn's configuration. Does not know: what is served.
"""

from __future__ import annotations

import gc
import socket
import sys

import uvicorn
from fastapi import FastAPI

from chatsync.service.app import create_app
from chatsync.service.hub import Hub
from chatsync.service.logs import configure_logs
from chatsync.service.settings import Settings
from chatsync.service.short_path import ShortPathProtocol
from chatsync.service.sockets import LiveSocket

__all__ = ["RelayServer", "run_service"]

_SWITCH_S = 0.0005  # how long a thread may keep Python to itself; at the usual 5 ms each system call of the loop may cost as much
_COLLECT_AFTER = (5_000, 10, 5)  # few cycles are made here: connections that end, errors with their traces
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then leave everything that was made for good out of every later collection of garbage.

        A full collection looks at each object there is and holds all threads meanwhile: 80 ms with what the libraries alone have made.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, say goodbye, then stop as uvicorn does."""
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
