"""A full node answers 503, and those who poll instead see messages within 3 s and put at most 5 requests/s a room on it.

2,000 simulated players (CHATSYNC_POLLERS for more; ``python -m benchmarks.polling`` is the long form with figures) behind a real nginx with the
configuration of docs/operations.md. The relay's one place on a socket is taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx2
import pytest

from benchmarks.loading import LeftOutError
from benchmarks.polling import full_relay, polled
from chatsync.service.chat_playlist import RELOAD_FULL_MS
from tests.relay import Relay
from tests.webserver import Nginx, nginx_path

pytestmark = [pytest.mark.faults, pytest.mark.alone]

ROOMS = ["physics", "history"]
POLLERS = int(os.environ.get("CHATSYNC_POLLERS", "2000"))
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "chatsync.v1",
}


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Relay, Nginx]]:
    """A full relay behind nginx."""
    nginx_path()
    with full_relay(ROOMS) as made:
        yield made


def test_a_full_node_says_when_to_come_back(site: tuple[Relay, Nginx]) -> None:
    """The handshake is answered with 503 and Retry-After, also through nginx, and nothing may keep that answer."""
    relay, nginx = site
    for url in (relay.url, nginx.url):
        answer = httpx2.get(f"{url}/v1/rooms/physics/live", headers=UPGRADE)
        assert 503 == answer.status_code
        assert int(answer.headers["retry-after"]) >= 1
        assert "no-store" in answer.headers["cache-control"]


def test_a_full_node_lets_players_wait_a_little_longer(site: tuple[Relay, Nginx]) -> None:
    """`reload_ms` is above that of a node with places left, and the open slice says which list stands and up to where is sealed."""
    relay, _ = site
    listed = relay.get("/v1/rooms/physics/chat.json").json()
    assert RELOAD_FULL_MS == listed["reload_ms"]
    opened = relay.get(f"{listed['base']}1/open.json?from_ms={listed['sealed_until_ms']}").json()
    assert listed["version"] == opened["version"]
    assert listed["sealed_until_ms"] <= opened["sealed_until_ms"]


def test_pollers_see_every_message_once_in_time_and_hardly_ask_the_node(site: tuple[Relay, Nginx]) -> None:
    """Nobody misses a message or gets one twice; all see it within 3 s; at most 5 requests/s a room reach the relay."""
    relay, nginx = site
    try:
        figures = polled(relay, nginx, ROOMS, pollers=POLLERS, seconds=8, warm_up_s=4)
    except LeftOutError as reason:
        pytest.skip(str(reason))
    print(figures)
    assert (0, 0, 0, 0) == tuple(figures[name] for name in ("refused", "not_ok", "missed", "duplicates"))
    assert POLLERS == figures["following"]
    assert figures["said"] >= 20
    assert figures["reads_per_s_a_room"] <= 5
    assert figures["p99_ms"] <= 3_000
    assert figures["reload_ms_max"] == RELOAD_FULL_MS
