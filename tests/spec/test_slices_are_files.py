"""A sealed public slice is a file that nginx serves with no Python in the way, and never a private one.

A real nginx with the configuration of docs/operations.md stands before a real relay. What the relay was asked is read from its metrics.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import websockets

from tests.relay import Relay, admin_token, token
from tests.webserver import Nginx, nginx_path, open_folder

pytestmark = pytest.mark.faults

ROOM, PRIVATE, LEAVING, REMOVED = "math-101", "staff-room", "leaving", "removed"
PAGE, STRANGER = "https://school.example", "https://elsewhere.example"
MARK = "quite-unmistakable"
SEALED_WITHIN_S = 20.0
GZIP = {"Accept-Encoding": "gzip"}


class Site:
    """A relay with sealed slices in its rooms, and nginx in front."""

    def __init__(self, relay: Relay, nginx: Nginx) -> None:
        self.relay, self.nginx = relay, nginx
        self.said: list[int] = []  # offsets in the second slice of ROOM

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Through nginx."""
        return httpx2.get(self.nginx.url + path, headers=GZIP | headers, timeout=10)

    def playlist(self, room: str = ROOM) -> Any:
        """Straight from the relay."""
        return self.relay.get(f"/v1/rooms/{room}/chat.json", headers=_bearer(token(room, "reader"))).json()

    def slices(self, room: str = ROOM) -> list[str]:
        """The paths of all slices that are listed."""
        listed = self.playlist(room)
        return [f"{listed['base']}{listed['broadcast']}/{_name(entry)}" for entry in listed["slices"]]

    def say(self, room: str, texts: list[str], *, seconds_ago: int) -> list[int]:
        """Bring what was said a while ago: it is sealed at once. The offsets."""
        wall_ms = (time.time_ns() // 1_000_000 // 1_000 - seconds_ago) * 1_000
        lines = [
            {"id": f"{wall_ms}-{index}", "author": {"id": "s5", "name": "Student 5"}, "text": text, "wall_ms": wall_ms}
            for index, text in enumerate(texts)
        ]
        answer = httpx2.post(
            f"{self.relay.url}/v1/rooms/{room}/messages",
            content="\n".join(map(json.dumps, lines)),
            headers=_bearer(token(room, "platform", None, ("ingest",))) | {"Content-Type": "application/x-ndjson"},
        )
        assert 200 == answer.status_code, answer.text
        return [result["offset"] for result in answer.json()["results"]]

    def reads(self, what: str) -> int:
        """How many of these the relay has answered."""
        for line in self.relay.get("/metrics").text.splitlines():
            if line.startswith(f'chatsync_reads_total{{what="{what}"}}'):
                return int(float(line.rpartition(" ")[2]))
        return 0


def _name(entry: Any) -> str:
    return f"{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"


def _bearer(of: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {of}"}


def _until(condition: Any) -> None:
    deadline_s = time.monotonic() + SEALED_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A relay and an nginx for all tests of this page."""
    nginx_path()
    folder = open_folder()
    rooms: dict[str, dict[str, Any]] = {
        ROOM: {"public": True, "origins": [PAGE]},
        PRIVATE: {"public": False, "origins": [PAGE]},
        LEAVING: {"public": True},
        REMOVED: {"public": True},
    }
    try:
        with Relay(folder / "relay", rooms) as relay:
            (folder / "relay").chmod(0o711)
            (folder / "relay" / "data").chmod(0o711)  # what the page does with a group
            with Nginx(folder / "nginx", relay_port=relay.port, data=folder / "relay" / "data") as nginx:
                made = Site(relay, nginx)
                for room in rooms:
                    made.say(room, [MARK, f"{MARK} too"], seconds_ago=300)
                made.said = made.say(ROOM, [MARK, f"{MARK} too"], seconds_ago=200)
                _until(lambda: all(made.slices(room) for room in rooms) and len(made.slices(ROOM)) == 2)
                yield made
    finally:
        shutil.rmtree(folder)


def test_a_slice_is_served_as_the_relay_serves_it_and_the_relay_is_not_asked(site: Site) -> None:
    """Same bytes, same headers that a cache, a page or a player goes by; GET, HEAD and 304; the relay's count stands still."""
    (path,) = site.slices()[:1]
    by_relay = httpx2.get(site.relay.url + path, headers=GZIP)
    before = site.reads("slice")
    by_nginx = site.get(path)
    assert by_relay.json() == by_nginx.json()
    assert MARK in by_nginx.text
    told = {"cache-control", "content-type", "content-encoding", "content-length"}
    for name in told | {"x-content-type-options", "content-security-policy", "referrer-policy"}:
        assert by_relay.headers[name] == by_nginx.headers[name], name
    assert {"Accept-Encoding", "Origin"} == set(by_nginx.headers["vary"].replace(" ", "").split(","))
    head = httpx2.head(site.nginx.url + path, headers=GZIP)
    assert (200, b"", by_nginx.headers["content-length"]) == (
        head.status_code,
        head.content,
        head.headers["content-length"],
    )
    assert 304 == site.get(path, **{"If-None-Match": by_nginx.headers["etag"]}).status_code
    plain = httpx2.get(site.nginx.url + path, headers={"Accept-Encoding": "identity"})
    assert ("content-encoding" in plain.headers, by_relay.content) == (False, plain.content)
    assert before == site.reads("slice")


def test_another_spelling_of_its_address_may_not_be_kept(site: Site) -> None:
    """With a query or an encoded letter the relay answers, and says so: a cache further out could not be told to drop it."""
    (path,) = site.slices()[:1]
    for other in (f"{path}?", f"{path}?x", path.replace("math", "m%61th"), path.replace("/slices/", "//slices/")):
        for headers in ({}, {"Origin": PAGE}, {"Origin": STRANGER}):
            head = _raw(site.nginx.port, other, **headers).partition(b"\r\n\r\n")[0].lower()
            assert b"\r\ncache-control: private, no-store" in head or b" 404 " in head, other


def test_a_room_s_list_of_pages_holds_for_nginx_too(site: Site) -> None:
    """A listed page gets the CORS headers the relay gives; any other, whatever it calls itself, gets none."""
    (path,) = site.slices()[:1]
    before = site.reads("slice")
    listed = site.get(path, Origin=PAGE)
    assert (200, PAGE, "ETag, Retry-After") == (
        listed.status_code,
        listed.headers["access-control-allow-origin"],
        listed.headers["access-control-expose-headers"],
    )
    assert "access-control-allow-origin" not in site.get(path, Origin=STRANGER).headers
    assert before == site.reads("slice")
    for strange in (
        "null",
        "https://school.example/",
        "https://School.example",
        "http://school.example",
        "https://..",
        "*",
    ):
        assert "access-control-allow-origin" not in site.get(path, Origin=strange).headers, strange
    (other,) = site.slices(LEAVING)[:1]
    assert "access-control-allow-origin" not in site.get(other, Origin=PAGE).headers
    preflight = httpx2.request(
        "OPTIONS", site.nginx.url + path, headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    )
    assert (204, PAGE) == (preflight.status_code, preflight.headers["access-control-allow-origin"])


def test_a_private_slice_is_never_a_file(site: Site) -> None:
    """Without a token it does not exist; with one the relay answers, and nothing may keep it."""
    (path,) = site.slices(PRIVATE)[:1]
    assert 404 == site.get(path).status_code
    for origin in (PAGE, STRANGER):
        assert 404 == site.get(path, Origin=origin).status_code
    mine = site.get(path, **_bearer(token(PRIVATE, "reader")))
    assert (200, "private, no-store") == (mine.status_code, mine.headers["cache-control"])
    assert 404 == site.get(path).status_code
    chat = f"/v1/rooms/{PRIVATE}/chat.json"
    assert 200 == site.get(chat, **_bearer(token(PRIVATE, "reader"))).status_code
    assert 404 == site.get(chat).status_code


def _raw(port: int, path: str, **headers: str) -> bytes:
    """An answer to a path that no client library would send."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n"
        connection.sendall(request.encode("latin-1"))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head + (gzip.decompress(body) if b"Content-Encoding: gzip" in head and b" 200 " in head else body)


def test_no_trick_of_paths_leads_to_another_file(site: Site) -> None:
    """Dots, encoded dots and slashes, doubled slashes, NULs, other cases: nothing of a private room or of the folder comes out."""
    (path,) = site.slices(PRIVATE)[:1]
    name = path.rpartition("/")[2]
    tries = [
        f"/v1/rooms/{ROOM}/slices/../../private/{PRIVATE}/1/{name}",
        f"/v1/rooms/{ROOM}/slices/1/../../../private/{PRIVATE}/1/{name}",
        f"/v1/rooms/{ROOM}/slices/1/%2e%2e/%2e%2e/%2e%2e/private/{PRIVATE}/1/{name}",
        f"/v1/rooms/{ROOM}/slices/1/..%2f..%2f..%2fprivate%2f{PRIVATE}%2f1%2f{name}",
        f"/v1/rooms/{ROOM}/slices/1/%252e%252e/{name}",
        f"/v1/rooms/..%2fprivate%2f{PRIVATE}/slices/1/{name}",
        f"/v1/rooms/../private/{PRIVATE}/slices/1/{name}",
        f"/v1/rooms/{PRIVATE}/slices/1/{name}.gz",
        f"/v1/rooms/{PRIVATE}/slices/1/{name}%00",
        f"/v1/rooms/{PRIVATE}//slices//1//{name}",
        f"/v1/rooms/{PRIVATE}/slices/01/{name}",
        f"/v1/rooms/{PRIVATE.upper()}/slices/1/{name}",
        f"/v1/rooms/{PRIVATE};a/slices/1/{name}",
        f"/v1/rooms/{PRIVATE}/slices/1/{name}?token=x",
        f"//v1/rooms/{PRIVATE}/slices/1/{name}",
        f"/{PRIVATE}/1/{name}",
        f"/{ROOM}/1/{name}.gz",
        f"/v1/rooms/{ROOM}/slices/origins/https_school.example",
        "/v1/rooms/../../chatsync.db",
        "/v1/rooms/..%2f..%2fchatsync.db",
        "/slices/public/",
        "/v1/rooms/.../slices/1/" + name,
    ]
    for tried in tries:
        answer = _raw(site.nginx.port, tried)
        assert answer.split(b" ", 2)[1] in {b"400", b"404", b"422"}, (tried, answer[:200])
        assert MARK.encode() not in answer, tried


def test_after_a_hide_the_old_slice_is_gone_and_the_new_one_is_a_file(site: Site) -> None:
    """410 with the present revision as soon as the chat playlist lists it; the relay answers that, nginx the new slice."""
    hidden, kept = site.said
    old = max(site.slices())
    assert 200 == site.get(old).status_code
    answer = httpx2.post(
        f"{site.relay.url}/v1/rooms/{ROOM}/actions",
        json={"id": "hide-1", "action": "hide", "target": hidden},
        headers=_bearer(token(ROOM, "mod", "moderator")),
    )
    assert 200 == answer.status_code, answer.text
    _until(lambda: old not in site.slices())
    gone = site.get(old)
    assert (410, 2, "private, no-store") == (gone.status_code, gone.json()["revision"], gone.headers["cache-control"])
    assert MARK not in gone.text
    before = site.reads("slice")
    new = site.get(max(site.slices()))
    assert [kept] == [event["offset"] for event in new.json()["events"]]
    assert before == site.reads("slice")


def test_a_room_that_is_made_private_or_removed_leaves_no_file(site: Site) -> None:
    """When the answer says so, nginx has none of its slices any more."""
    leaving, removed = site.slices(LEAVING)[0], site.slices(REMOVED)[0]
    assert {200} == {site.get(path).status_code for path in (leaving, removed)}
    admin = _bearer(admin_token())
    url = f"{site.relay.url}/v1/rooms"
    assert 200 == httpx2.put(f"{url}/{LEAVING}", json={"public": False}, headers=admin).status_code
    assert 404 == site.get(leaving).status_code
    assert 200 == httpx2.delete(f"{url}/{REMOVED}", headers=admin).status_code
    assert 404 == site.get(removed).status_code


def test_the_chat_playlist_and_the_open_slice_are_asked_for_once_a_second(site: Site) -> None:
    """However many ask: the relay answers once for each second and address; nobody gets an answer older than that."""
    listed = site.playlist()
    paths = {
        "chat_playlist": f"/v1/rooms/{ROOM}/chat.json?broadcast=1&since=1",
        "open": f"{listed['base']}1/open.json?from_ms={listed['sealed_until_ms']}",
    }
    for what, path in paths.items():
        before, seconds = site.reads(what), time.time()
        with httpx2.Client() as client:
            answers = [client.get(site.nginx.url + path) for _ in range(60)]
        touched = int(time.time()) - int(seconds) + 1
        assert {200} == {answer.status_code for answer in answers}
        assert {"public, max-age=1"} == {answer.headers["cache-control"] for answer in answers}
        assert 1 <= site.reads(what) - before <= touched
    told = site.get(paths["chat_playlist"]).json()["as_of"]["offset"]
    (said,) = site.say(ROOM, ["now"], seconds_ago=0)
    assert said > told
    time.sleep(1.05)
    assert said <= site.get(paths["chat_playlist"]).json()["as_of"]["offset"]


async def test_the_live_socket_passes_through(site: Site) -> None:
    """The upgrade goes to the relay, and frames come back."""
    uri = site.nginx.url.replace("http", "ws") + f"/v1/rooms/{ROOM}/live"
    async with websockets.connect(uri, subprotocols=["chatsync.v1"]) as connection:  # type: ignore[list-item]
        await connection.send(json.dumps({"type": "hello", "token": None, "after": None, "last": 1}))
        welcome = json.loads(await asyncio.wait_for(connection.recv(), 5))
    assert "welcome" == welcome["type"]


def test_slices_are_served_while_the_relay_is_away(site: Site) -> None:
    """With the relay stopped: a slice comes as ever, the chat playlist cannot."""
    path = site.slices()[0]
    site.relay.stop()
    answer = site.get(path)
    assert (200, True) == (answer.status_code, MARK in answer.text)
    assert 502 == site.get(f"/v1/rooms/{ROOM}/chat.json").status_code
    private = site.relay.folder / "data" / "slices" / "private"
    assert [] == [folder for folder in private.rglob("*") if folder.stat().st_mode & 0o077]
