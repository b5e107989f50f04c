"""The audit log of a relay: what becomes a record, who reads which, and what the commands say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.instants import DAY_US, SECOND_US
from chatsync.service.auditing import checkpoint_daily, expire_audit
from chatsync.service.auth import TokenScope
from chatsync.service.clock import ManualClock
from chatsync.store.signing import why_not_signed
from chatsync.store.verifying import verify_audit
from tests.relay import SECRET
from tests.stage import START_US, WRITER, Stage, stage

ROOMS: dict[str, dict[str, Any]] = {"class": {"public": True}, "math-1": {}, "math-2": {}}


def _admin(it: Stage, rooms: tuple[str, ...] | None = None) -> str:
    return it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), rooms=rooms, admin=True)


async def _put(it: Stage, room: str, **settings: Any) -> None:
    headers = {"Authorization": f"Bearer {_admin(it)}"}
    answer = await it.http.put(f"/v1/rooms/{room}", json=settings, headers=headers)
    assert 200 == answer.status_code, answer.text


async def _log(it: Stage, token: str, query: str = "") -> Any:
    answer = await it.get(f"/v1/audit?{query}", token)
    assert 200 == answer.status_code, answer.text
    assert "private, no-store" == answer.headers["cache-control"]
    return answer.json()


async def _deeds(it: Stage) -> None:
    """A hide in each room, and a room that is made public and deleted."""
    for room in ROOMS:
        said = await it.say("rude", room)
        await it.act("hide", room, target=said["offset"], reason="no manners")
    await _put(it, "art", title="Art of Annabel")
    await _put(it, "art", public=True)
    await it.http.delete("/v1/rooms/art", headers={"Authorization": f"Bearer {_admin(it)}"})


async def test_deeds_of_staff_and_administrators_are_records(tmp_path: Path) -> None:
    """Hides, rooms that come, change and go; who did it is a pseudonym, and no word and no name is in it."""
    async with stage(tmp_path, ROOMS) as it:
        await _deeds(it)
        await it.act("broadcast_close", "class", role="host")
        told = await _log(it, _admin(it))
        found = [(one["action"], one["room"], one["before"], one["after"]) for one in told["records"]]
        private = "names=as_given,profile=open,retention=node,stream=none,visibility=private"
        public = "names=as_given,profile=open,retention=node,stream=none,visibility=public"
        assert [
            *[("hidden", room, "visible", "hidden") for room in ROOMS],
            ("room_put", "art", "", private),
            ("room_put", "art", private, public),
            ("room_deleted", "art", public, ""),
            ("broadcast_closed", "class", "", ""),
        ] == found
        by = {one["role"]: one["actor"] for one in told["records"]}
        assert it.hub.authority.admin_actor("operator") == by["admin"]
        assert it.hub.authority.author_key("class", "staff") == by["staff"]
        assert not [word for word in ("operator", "Annabel", "rude", "manners") if word in json.dumps(told)]
        closed = (await it.get("/v1/rooms/class/messages")).text
        assert "broadcast_closed" in closed
        assert '"by"' not in closed
    assert verify_audit(tmp_path / "data")["fault"] is None


async def test_an_erasure_says_who_wanted_it(tmp_path: Path) -> None:
    """In the same commit as the event; without content."""
    async with stage(tmp_path, ROOMS) as it:
        await it.say("words")
        headers = {"Authorization": f"Bearer {_admin(it)}"}
        answer = await it.http.delete(f"/v1/rooms/class/authors/{WRITER.key}?reason=request 7", headers=headers)
        assert 200 == answer.status_code, answer.text
        (record,) = (await _log(it, _admin(it)))["records"]
        actor = it.hub.authority.admin_actor("operator")
        assert ("erased", actor, WRITER.key, "") == tuple(
            record[name] for name in ("action", "actor", "subject", "reason")
        )


async def test_moderation_of_every_kind_is_a_record(tmp_path: Path) -> None:
    """Held and approved, muted with an end, a mode, a poll: about whom, and how it was and is since."""
    async with stage(tmp_path, {"class": {"public": True, "mode": {"approval": True}}}) as it:
        async with it.connected() as pupil:
            key = (await pupil.hello(it.token("class", "ann")))["you"]["key"]
            held = await pupil.say("may I?")
        assert "held" == held["type"]
        head = it.hub.journal.head("class").offset
        await it.act("approve", target=head)
        await it.act("mute", author=key, until_ms=START_US // 1_000 + 60_000, reason="loud")
        await it.act("mode", mode={"write": "hosts"})
        await it.act("poll_open", poll="p", question="Which?", choices=["this", "that"])
        found = [
            (one["action"], one["target"], one["subject"], one["after"])
            for one in (await _log(it, _admin(it)))["records"]
        ]
        until = f"muted,until_ms={START_US // 1_000 + 60_000}"
        assert [
            ("approved", head, key, "visible"),
            ("muted", None, key, until),
            ("mode_changed", None, None, "write=hosts"),
            ("poll_opened", None, None, ""),
        ] == found


async def test_who_may_read_it(tmp_path: Path) -> None:
    """Administrators and auditors, each the rooms of their token; nobody else."""
    async with stage(tmp_path, ROOMS) as it:
        await _deeds(it)
        wall_us, scopes = it.clock.system_wall_us(), cast("tuple[TokenScope, ...]", ("auditor",))
        auditor = it.hub.authority.mint("audit", wall_us=wall_us, rooms=("math-*", "class"), scopes=scopes)
        one = it.token("math-1", "audit", None, ("auditor",))
        assert ["class", "math-1", "math-2"] == [r["room"] for r in (await _log(it, auditor))["records"]]
        assert ["math-1"] == [r["room"] for r in (await _log(it, one))["records"]]
        assert ["math-2"] == [r["room"] for r in (await _log(it, auditor, "room=math-2"))["records"]]
        assert 3 == len((await _log(it, _admin(it), "room=art"))["records"])
        assert [] == (await _log(it, _admin(it), "room=never"))["records"]
        for room in ("math-2", "art", "..", ""):
            answer = await it.get(f"/v1/audit?room={room}", one)
            assert (404, "unknown_room") == (answer.status_code, answer.json()["code"])
        refused = [
            (None, 401),
            ("nonsense", 401),
            (it.token("class", "host", "host"), 403),
            (it.token("class", "feed", None, ("ingest", "analyst")), 403),
        ]
        for token, status in refused:
            assert status == (await it.get("/v1/audit", token)).status_code
            assert status == (await it.post("/v1/audit/checkpoints", None, token)).status_code
        answer = await it.http.put("/v1/rooms/art", json={}, headers={"Authorization": f"Bearer {one}"})
        assert 401 == answer.status_code


async def test_pages_have_each_record_once(tmp_path: Path) -> None:
    """Cursors lead through it; those of another room, of messages, or made up are refused."""
    async with stage(tmp_path, ROOMS) as it:
        await _deeds(it)
        seen, query = [], "limit=2"
        while True:
            page = await _log(it, _admin(it), query)
            seen += [one["number"] for one in page["records"]]
            if page["cursor"] is None:
                break
            query = f"limit=2&cursor={page['cursor']}"
            foreign = await it.get(f"/v1/audit?room=class&cursor={page['cursor']}", _admin(it))
            assert (400, "cursor") == (foreign.status_code, foreign.json()["code"])
        assert [1, 2, 3, 4, 5, 6] == seen
        messages = (await it.get("/v1/rooms/class/messages?limit=1")).json()["cursor"]
        for cursor in (messages, "AAAA"):
            assert 400 == (await it.get(f"/v1/audit?cursor={cursor}", _admin(it))).status_code


async def test_a_checkpoint_is_signed_once_a_day(tmp_path: Path) -> None:
    """If something was added; and one at any moment for who asks. Records go after their days, up to one."""
    async with stage(tmp_path, ROOMS, audit_days=30) as it:

        async def signed() -> int:
            await checkpoint_daily(it.hub)
            await expire_audit(it.hub)
            return int(verify_audit(tmp_path / "data")["checkpoints"])

        assert 404 == (await it.post("/v1/audit/checkpoints", None, _admin(it))).status_code
        assert 0 == await signed()
        await it.act("hide", target=(await it.say("rude"))["offset"])
        assert [1, 1] == [await signed(), await signed()]
        await it.act("hide", target=(await it.say("rude"))["offset"])
        assert 1 == await signed()
        it.advance(DAY_US / SECOND_US)
        assert [2, 2] == [await signed(), await signed()]
        answer = await it.post("/v1/audit/checkpoints", None, it.token("class", "audit", None, ("auditor",)))
        assert ("private, no-store", 2) == (answer.headers["cache-control"], answer.json()["number"])
        assert why_not_signed(answer.json()) is None
        assert verify_audit(tmp_path / "data", [answer.json()])["fault"] is None
        it.advance(31 * DAY_US / SECOND_US)
        await it.act("hide", target=(await it.say("rude"))["offset"])
        assert 2 == await signed()  # that of the last record that is past its time, and a new one
        assert [3] == [one["number"] for one in (await _log(it, _admin(it)))["records"]]
        assert verify_audit(tmp_path / "data")["fault"] is None


# --- commands ---------------------------------------------------------------------------------------------------------


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["audit", *words], env={"CHATSYNC_TOKEN_SECRET": SECRET})
    return result.exit_code, result.output.strip()


async def test_tokens_that_are_minted_and_taken_back_are_records(tmp_path: Path) -> None:
    """For whom and which by keyed hashes, as revocations are; never the token, its id or who it is for."""
    async with stage(tmp_path, ROOMS) as it:
        body = {"subject": "annabel", "rooms": ["class"], "role": "viewer", "name": "Annabel", "minutes": 5}
        minted = (await it.post("/v1/tokens", body, _admin(it))).json()
        for taken_back in ({"jti": minted["jti"]}, {"person": "annabel", "room": "class"}):
            assert 200 == (await it.post("/v1/revocations", taken_back, _admin(it))).status_code
        feed = {"subject": "feeder", "rooms": ["math-*", "class"], "scopes": ["ingest"]}
        assert 200 == (await it.post("/v1/tokens", feed, _admin(it))).status_code
        records = (await _log(it, _admin(it)))["records"]
        key_of = it.hub.authority.revocations.key_of
        assert [
            ("token_minted", "class", key_of("person", "annabel")),
            ("token_revoked", "", key_of("jti", minted["jti"])),
            ("token_revoked", "class", key_of("person", "annabel")),
            ("token_minted", "", key_of("person", "feeder")),
        ] == [(one["action"], one["room"], one["subject"]) for one in records]
        assert {it.hub.authority.admin_actor("operator")} == {one["actor"] for one in records}
        assert "admin=false,minutes=5,role=viewer,rooms=1,scopes=0" == records[0]["after"]
        assert not [word for word in ("nnabel", "feeder", minted["jti"], minted["token"][-20:]) if word in str(records)]


async def test_a_token_that_a_command_minted_is_noted_by_the_relay_that_has_the_folder(tmp_path: Path) -> None:
    """Those it would accept, told by the local administrator alone."""
    async with stage(tmp_path, ROOMS) as it:
        for token in (it.token("class", "ann"), _admin(it)):
            answer = await it.post("/v1/tokens/noted", {"token": token}, _admin(it))
            assert 200 == answer.status_code, answer.text
            assert token not in answer.text
        records = (await _log(it, _admin(it)))["records"]
        assert ["false", "true"] == [one["after"].split(",")[0].removeprefix("admin=") for one in records]
        refused = await it.post("/v1/tokens/noted", {"token": "x.y.z"}, _admin(it))
        assert (422, "no_such_token") == (refused.status_code, refused.json()["reason"])
        far = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=it.app, client=("203.0.113.5", 1)), base_url="http://relay"
        )
        headers = {"Authorization": f"Bearer {_admin(it)}"}
        answer = await far.post("/v1/tokens/noted", json={"token": _admin(it)}, headers=headers)
        assert 404 == answer.status_code
        await far.aclose()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A closed folder with some records."""
    async with stage(tmp_path, ROOMS, clock=ManualClock(wall_us=START_US)) as it:
        await _deeds(it)
    return tmp_path / "data"


def test_the_commands_check_and_export(tmp_path: Path, folder: Path) -> None:
    """`audit export` gives a line to keep, and all records on demand; `audit verify` compares; damage is named, exit 1."""
    kept = tmp_path / "checkpoint.jsonl"
    assert (0, "") == _run("export", "--data", str(folder), "--to", str(kept), "--records")
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [1, 2, 3, 4, 5, 6, 6] == [line["number"] for line in lines]
    assert lines[-2]["hash"] == lines[-1]["hash"]
    where = ("--data", str(folder), "--checkpoint", str(kept))
    assert (0, "6 records, 1 checkpoints, 1 from elsewhere: all as written") == _run("verify", *where)
    status, told = _run("verify", *where, "--json", "--key", lines[-1]["key"])
    assert (0, 6, None) == (status, json.loads(told)["records"], json.loads(told)["fault"])
    kept.write_text(json.dumps(lines[-1] | {"number": 5}))
    assert (1, "record 5: the checkpoint from elsewhere: it is not what was signed") == _run("verify", *where)
    kept.write_text("[]")
    assert 2 == _run("verify", *where)[0]
    assert 2 == _run("verify", "--data", str(folder), "--checkpoint", str(tmp_path / "nowhere"))[0]


def test_a_receipt_is_checked(tmp_path: Path, folder: Path) -> None:
    """That of an erasure is what the folder signed; a changed one is not; without the folder, by its key."""
    words = ["erase", "class", WRITER.key, "--json", "--data", str(folder)]
    receipt = tmp_path / "receipt.json"
    receipt.write_text(CliRunner().invoke(command, words).output)
    document = json.loads(receipt.read_text())
    assert (0, True) == (_run("verify-receipt", str(receipt), "--data", str(folder))[0], document["left"] == 0)
    elsewhere = ("verify-receipt", str(receipt), "--data", str(tmp_path / "none"))
    assert (0, True) == (_run(*elsewhere, "--key", document["key"])[0], "not known here" in _run(*elsewhere)[1])
    receipt.write_text(json.dumps(document | {"events": 99}))
    status, told = _run("verify-receipt", str(receipt), "--data", str(folder), "--json")
    assert (1, "it is not what was signed") == (status, json.loads(told)["why"])


def test_an_empty_log_has_nothing_to_sign(tmp_path: Path) -> None:
    """Nothing is made up."""
    assert 1 == _run("export", "--data", str(tmp_path / "data"))[0]
    assert (0, "0 records, 0 checkpoints, 0 from elsewhere: all as written") == _run(
        "verify", "--data", str(tmp_path / "data")
    )
