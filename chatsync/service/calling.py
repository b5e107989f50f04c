"""A command that finds its data folder in use asks the relay that uses it.

Owns: where that relay listens, and a token of a minute for the call. Does not know: what is asked.
"""

from __future__ import annotations

from typing import Any

import httpx2

from chatsync.errors import SettingsError
from chatsync.instants import MINUTE_US
from chatsync.service.auth import TokenAuthority
from chatsync.service.clock import SteadyClock
from chatsync.service.settings import Settings, token_key

__all__ = ["call_relay"]

_TIMEOUT_S = 600.0  # recomputing a long room reads all of it


def call_relay(
    settings: Settings,
    path: str,
    parameters: dict[str, Any],
    *,
    room: str | None,
    method: str = "POST",
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask the relay of these settings as the local administrator; its answer.

    Args:
        settings: say where it listens, and hold the token secret.
        path: of the route.
        parameters: of the query.
        room: what the token is for; None: the whole node.
        method: of the request.
        body: as JSON; what must not stand in an address.

    Raises:
        SettingsError: no token key, no relay listens there, or it refused; the message says what to do.
    """
    scheme = "http" if settings.tls_cert is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - the reverse of binding
    url = f"{scheme}://{host}:{settings.port}"
    token = TokenAuthority(token_key(settings), settings.token_issuer).mint(
        "command",
        wall_us=SteadyClock().system_wall_us(),
        lifetime_us=MINUTE_US,
        rooms=None if room is None else [room],
        admin=True,
    )
    try:
        # The certificate names the public host; this is our own relay on this machine.
        with httpx2.Client(timeout=_TIMEOUT_S, verify=False, trust_env=False) as client:
            answer = client.request(
                method, f"{url}{path}", params=parameters, json=body, headers={"Authorization": f"Bearer {token}"}
            )
    except httpx2.HTTPError as error:
        raise SettingsError(
            f"The data folder is in use, and no relay answers at {url} ({type(error).__name__}). "
            "Stop what uses it, or name its host and port with --config."
        ) from error
    if not answer.is_success:
        raise SettingsError(f"The relay at {url} refused ({answer.status_code}): {_reason(answer)}")
    told: dict[str, Any] = answer.json()
    return told


def _reason(answer: httpx2.Response) -> str:
    """What a problem says in words; the start of whatever else came."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
