"""The floor of a room at work: mode, mutes, bans, slow mode, polls, reactions, what is held and what is private."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.reactions import LOST_ME
from chatsync.service.auth import PersonRole
from chatsync.service.clock import ManualClock
from chatsync.simulation import Scenario
from tests.relay import Client
from tests.service.tripwire import reply
from tests.service.webhook import webhook
from tests.stage import START_US, URL, Stage, stage

ROOMS: dict[str, dict[str, Any]] = {"class": {"public": True}}
Who = tuple[str, PersonRole]
HOST: Who = ("lecturer", "host")
MODERATOR: Who = ("mod", "moderator")
ANN: Who = ("ann", "participant")
BEN: Who = ("ben", "participant")


async def _in(it: Stage, stack: Any, who: Who) -> Client:
    client: Client = await stack.enter_async_context(it.connected("class"))
    await client.hello(it.token("class", *who))
    return client


async def _deed(it: Stage, who: Who, action: str, **fields: Any) -> dict[str, Any]:
    """A deed by HTTP, as somebody; the answer's status and body."""
    body = {"id": str(uuid.uuid4()), "action": action} | fields
    answer = await it.post("/v1/rooms/class/actions", body, it.token("class", *who))
    told: dict[str, Any] = answer.json()
    return told | {"status": answer.status_code, "code": told.get("reason", told.get("code"))}


async def _said(client: Client, text: str = "hello", **fields: Any) -> dict[str, Any]:
    """What the relay answers to an utterance, whatever it is."""
    message_id = str(uuid.uuid4())
    await client.send({"type": "say", "id": message_id, "text": text} | fields)
    await client.until(
        lambda: any(frame.get("id") == message_id and frame["type"] != "events" for frame in client.frames)
    )
    (answer,) = [
        one for one in client.frames if one.get("id") == message_id and one["type"] in {"ack", "held", "error"}
    ]
    return answer


def _key(it: Stage, who: Who) -> str:
    return it.hub.authority.author_key("class", who[0])


async def test_a_mode_changes_who_may_speak(tmp_path: Path) -> None:
    """At once, for everyone, and everyone is told; it is an event of the log."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        ann = await _in(it, stack, ANN)
        assert "ack" == (await _said(ann))["type"]
        assert 200 == (await _deed(it, HOST, "mode", mode={"write": "hosts"}))["status"]
        assert "not_now" == (await _said(ann))["code"]
        it.room().tell_edge()
        await ann.until(lambda: any(frame["type"] == "state" for frame in ann.frames))
        told = [frame["state"]["mode"]["write"] for frame in ann.frames if frame["type"] == "state"]
        assert "hosts" == told[-1]
        assert "not_allowed" == (await _deed(it, ANN, "mode", mode={"write": "everyone"}))["code"]


async def test_the_mode_outlives_a_restart_and_a_broadcast(tmp_path: Path) -> None:
    """And the next broadcast's own log says it, so that its slices do."""
    clock = ManualClock(wall_us=START_US)
    async with stage(tmp_path, ROOMS, clock=clock) as it:
        await _deed(it, HOST, "mode", mode={"slow_ms": 4_000})
    async with stage(tmp_path, ROOMS, clock=clock) as it:
        assert 4_000 == it.room().floor.mode.slow_ms
        it.advance(86_400)
        await it.room().receive_tick()
        number = it.room().broadcasts.current.number
        assert 2 == number
        assert 4_000 == it.room().edge.state.mode["slow_ms"]
        kinds = [event.kind for event in it.hub.journal.state_events("class", number)]
        assert ["mode_changed"] == kinds


async def test_a_profile_starts_the_room_in_its_mode_and_keeps_it(tmp_path: Path) -> None:
    """Minors: everything is held, and no host can switch that off."""
    async with stage(tmp_path, {"class": {"profile": "minors"}}) as it:
        assert it.room().floor.mode.approval
        assert it.room().edge.state.mode["approval"]
        refused = await _deed(it, HOST, "mode", mode={"approval": False})
        assert (422, "fixed_by_profile") == (refused["status"], refused["code"])


async def test_the_muted_read_and_write_nothing(tmp_path: Path) -> None:
    """Until the end that was named, also over another connection; a host is never muted."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        ann = await _in(it, stack, ANN)
        until_ms = it.clock.system_wall_us() // 1_000 + 60_000
        await _deed(it, MODERATOR, "mute", author=_key(it, ANN), until_ms=until_ms, reason="flood")
        again = await _in(it, stack, ANN)
        for client in (ann, again):
            refused = await _said(client)
            assert ("muted", until_ms) == (refused["code"], refused["until_ms"])
        assert "muted" == (await _deed(it, ANN, "react", emoji=LOST_ME))["code"]
        it.advance(60)
        assert "ack" == (await _said(again))["type"]
        host = await _in(it, stack, HOST)
        assert "not_allowed" == (await _deed(it, MODERATOR, "mute", author=_key(it, HOST)))["code"]
        assert "ack" == (await _said(host))["type"]


async def test_the_banned_are_shown_out_and_not_let_in_again(tmp_path: Path) -> None:
    """Every connection of theirs at once, after a restart too, by HTTP as well; until somebody ends it."""
    clock = ManualClock(wall_us=START_US)
    async with stage(tmp_path, ROOMS, clock=clock) as it, AsyncExitStack() as stack:
        ann, ben = await _in(it, stack, ANN), await _in(it, stack, BEN)
        await _deed(it, MODERATOR, "ban", author=_key(it, ANN))
        assert 4504 == await ann.closed_with()
        assert "ack" == (await _said(ben))["type"]
    async with stage(tmp_path, ROOMS, clock=clock) as it, AsyncExitStack() as stack:
        client: Client = await stack.enter_async_context(it.connected("class"))
        await client.send({"type": "hello", "token": it.token("class", *ANN)})
        assert 4504 == await client.closed_with()
        refused = await _deed(it, ANN, "raise_hand")
        assert (403, "banned") == (refused["status"], refused["code"])
        assert 403 == (await it.get("/v1/rooms/class/chat.json", it.token("class", *ANN))).status_code
        await _deed(it, MODERATOR, "unban", author=_key(it, ANN))
        await _in(it, stack, ANN)


async def test_slow_mode_is_by_person(tmp_path: Path) -> None:
    """Whoever has just written waits; others and staff do not."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        await _deed(it, HOST, "mode", mode={"slow_ms": 5_000})
        ann, ben, host = [await _in(it, stack, who) for who in (ANN, BEN, HOST)]
        assert "ack" == (await _said(ann))["type"]
        it.advance(2)
        refused = await _said(ann)
        assert ("slow_mode", 3_000) == (refused["code"], refused["retry_after_ms"])
        assert ["ack", "ack", "ack"] == [(await _said(one))["type"] for one in (ben, host, host)]
        it.advance(3)
        assert "ack" == (await _said(ann))["type"]


async def test_what_is_held_is_said_once_it_is_approved(tmp_path: Path) -> None:
    """Where its author said it, with their id; until then nobody but staff sees it, and its words stand in one place only."""
    async with stage(tmp_path, {"class": {"public": True, "playlist_url": URL}}) as it, AsyncExitStack() as stack:
        await it.stream(Scenario(START_US), 20)
        await _deed(it, HOST, "mode", mode={"approval": True})
        ann, ben, mod = [await _in(it, stack, who) for who in (ANN, BEN, MODERATOR)]
        answer = await _said(ann, "may I?")
        assert "held" == answer["type"]
        it.room().flush()
        await mod.until(lambda: any(one["kind"] == "held" for one in mod.events))
        (held,) = [one for one in mod.events if one["kind"] == "held"]
        assert ("may I?", "message") == (held["text"], held["of"])
        late, guest = [await _in(it, stack, who) for who in (MODERATOR, BEN)]
        assert [held] == [one for one in late.events if one["kind"] == "held"]
        assert [] == [one for one in guest.events if one["kind"] == "held"]
        await it.stream(Scenario(START_US), 30)
        approved = await _deed(it, MODERATOR, "approve", target=held["offset"])
        it.room().flush()
        assert [] == [one for one in (await _in(it, stack, MODERATOR)).events if one["kind"] == "held"]
        assert held["program_ms"] == approved["program_ms"]
        assert 404 == (await _deed(it, MODERATOR, "approve", target=held["offset"]))["status"]
        it.room().flush()
        await ben.until(lambda: any(one["kind"] == "message" for one in ben.events))
        (message,) = [one for one in ben.events if one["kind"] == "message"]
        assert (answer["id"], "may I?", "ann") == (message["id"], message["text"], message["author"]["name"])
        assert not {"by", "held"} & set(message)
        row = it.hub.journal.event("class", held["offset"])
        assert row is not None
        assert (True, None) == (row.hidden, row.text)
        assert [] == [one for one in ben.events if one["kind"] == "held"]


async def test_what_is_rejected_is_seen_by_nobody(tmp_path: Path) -> None:
    """And cannot be approved afterwards; a participant can do neither."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        await _deed(it, HOST, "mode", mode={"approval": True})
        ann, mod = await _in(it, stack, ANN), await _in(it, stack, MODERATOR)
        await _said(ann, "rude")
        it.room().flush()
        await mod.until(lambda: any(one["kind"] == "held" for one in mod.events))
        (held,) = [one["offset"] for one in mod.events if one["kind"] == "held"]
        assert 403 == (await _deed(it, BEN, "approve", target=held))["status"]
        assert 404 == (await _deed(it, BEN, "report", target=held, reason="x"))["status"]
        assert 200 == (await _deed(it, MODERATOR, "reject", target=held, reason="unkind"))["status"]
        assert 404 == (await _deed(it, MODERATOR, "approve", target=held))["status"]
        assert [] == [one for one in ann.events if one.get("text") == "rude"]


async def test_a_private_message_reaches_its_people_and_staff_alone(tmp_path: Path) -> None:
    """Live: the author, whoever is named, hosts and moderators; no slice, no list, nobody else."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        await _deed(it, HOST, "mode", mode={"private": True})
        ann, ben, mod, host = [await _in(it, stack, who) for who in (ANN, BEN, MODERATOR, HOST)]
        await _said(ann, "I am lost", to=["host"])
        await _said(host, "see me after class", to=[_key(it, ANN)])
        await _said(ben, "to everyone")
        it.room().flush()
        for client in (ann, ben, mod, host):
            await client.until(lambda client=client: any(one.get("text") == "to everyone" for one in client.events))
        seen = [sorted(one["text"] for one in client.events if "to" in one) for client in (ann, ben, mod, host)]
        both = ["I am lost", "see me after class"]
        assert [both, [], both, both] == seen
        listed = (await it.get("/v1/rooms/class/messages")).text
        assert ("to everyone" in listed, "I am lost" in listed) == (True, False)


async def test_votes_are_counted_and_nobodys_is_shown(tmp_path: Path) -> None:
    """The last of each person; everyone sees the tally, and the answer only once it is final."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        ben = await _in(it, stack, BEN)
        poll = {"poll": "p1", "question": "Continuous?", "choices": ["yes", "no"], "answer": [1]}
        assert 200 == (await _deed(it, HOST, "poll_open", **poll))["status"]
        assert "poll_exists" == (await _deed(it, HOST, "poll_open", **poll))["code"]
        for who, choice in ((ANN, 0), (BEN, 0), (ANN, 1)):
            assert 200 == (await _deed(it, who, "vote", poll="p1", choices=[choice]))["status"]
        assert "bad_choices" == (await _deed(it, ANN, "vote", poll="p1", choices=[0, 1]))["code"]
        assert 404 == (await _deed(it, ANN, "vote", poll="p2", choices=[0]))["status"]
        it.room().flush()
        it.room().tell_edge()
        await ben.until(lambda: any(frame["type"] == "tallies" and frame["polls"] for frame in ben.frames))
        polls = [frame["polls"] for frame in ben.frames if frame["type"] == "tallies"][-1]
        assert [{"poll": "p1", "tally": [1, 1], "voters": 2}] == polls
        assert [] == [one for one in ben.events if one["kind"] == "poll_voted"]
        assert [None] == [one.get("answer") for one in ben.events if one["kind"] == "poll_opened"]
        await _deed(it, HOST, "poll_close", poll="p1")
        it.advance(120)
        it.room().tell_edge()
        await ben.until(lambda: any(p.get("final") for f in ben.frames if f["type"] == "tallies" for p in f["polls"]))
        (final,) = [p for f in ben.frames if f["type"] == "tallies" for p in f["polls"] if p.get("final")]
        assert ([1, 1], [1]) == (final["tally"], final["answer"])


async def test_reactions_are_one_event_a_second_and_by_nobody(tmp_path: Path) -> None:
    """However many tap."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        ben = await _in(it, stack, BEN)
        for who in (ANN, BEN, ANN):
            assert 200 == (await _deed(it, who, "react", emoji=LOST_ME))["status"]
        assert "unknown_emoji" == (await _deed(it, ANN, "react", emoji="x"))["code"]
        it.room().log_reactions()
        await it.settled()
        it.room().flush()
        await ben.until(lambda: any(one["kind"] == "reaction" for one in ben.events))
        (told,) = [one for one in ben.events if one["kind"] == "reaction"]
        assert (LOST_ME, 3, None) == (told["emoji"], told["count"], told.get("author"))


async def test_reports_and_notes_are_for_staff_alone(tmp_path: Path) -> None:
    """Whoever reported is not shown to whom they reported."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        ann, mod = await _in(it, stack, ANN), await _in(it, stack, MODERATOR)
        said = await _said(ann)
        assert 200 == (await _deed(it, BEN, "report", target=said["offset"], reason="rude"))["status"]
        assert 200 == (await _deed(it, MODERATOR, "note", target=said["offset"], text="spoke to them"))["status"]
        it.room().flush()
        await mod.until(lambda: {"reported", "noted"} <= {one["kind"] for one in mod.events})
        await _said(ann, "later")
        it.room().flush()
        await ann.until(lambda: any(one.get("text") == "later" for one in ann.events))
        assert [] == [one for one in ann.events if one["kind"] in {"reported", "noted"}]


@pytest.mark.parametrize("guests", ["read", "write"])
async def test_guests_write_only_where_the_room_says_so(tmp_path: Path, guests: str) -> None:
    """And the mode lets everyone."""
    rooms = {"class": {"public": True, "guests": guests, "mode": {"write": "everyone"}}}
    async with stage(tmp_path, rooms) as it, AsyncExitStack() as stack:
        client: Client = await stack.enter_async_context(it.connected("class"))
        await client.hello(None)
        assert ("ack" if guests == "write" else "error") == (await _said(client))["type"]


async def test_the_list_of_those_present_is_for_whom_the_room_says(tmp_path: Path) -> None:
    """Each person once, staff first; a profile may keep it from participants."""
    for profile, allowed in (("classroom", 200), ("public-event", 403)):
        rooms = {"class": {"public": True, "profile": profile}}
        async with stage(tmp_path / profile, rooms) as it, AsyncExitStack() as stack:
            for who in (ANN, ANN, HOST):
                await _in(it, stack, who)
            assert allowed == (await it.get("/v1/rooms/class/participants", it.token("class", *ANN))).status_code
            told = await it.get("/v1/rooms/class/participants", it.token("class", *HOST))
            assert ["lecturer", "ann"] == [one["name"] for one in told.json()["participants"]]
            assert (3, "private, no-store") == (told.json()["viewers"], told.headers["cache-control"])


async def test_a_room_goes_from_scheduled_to_archived(tmp_path: Path) -> None:
    """By its start, its stream and its archive."""
    starts_ms = START_US // 1_000 + 60_000
    rooms = {"class": {"public": True, "playlist_url": URL, "starts_ms": starts_ms}}
    async with stage(tmp_path, rooms, clock=ManualClock(wall_us=START_US)) as it:

        async def lifecycle() -> str:
            return str((await it.get("/v1/rooms/class")).json()["lifecycle"])

        seen = [await lifecycle()]
        it.advance(60)
        seen.append(await lifecycle())
        await it.stream(Scenario(START_US + 60_000_000), 20)
        seen.append(await lifecycle())
        await _deed(it, HOST, "broadcast_close")
        seen.append(await lifecycle())
        await it.seal()
        await asyncio.to_thread(it.hub.archiving.store.archive.archive_now, "class")
        seen.append(await lifecycle())
        assert ["scheduled", "waiting", "live", "ended", "archived"] == seen


async def test_what_the_lists_refuse_or_hold_is_not_written(tmp_path: Path) -> None:
    """The author is told the rule, never the word; staff is not screened; the moderator of what is held sees what it was."""
    screening = {"refused_words": ["zebrafinch"], "held_words": ["wombat"], "flood_messages": 3}
    async with stage(tmp_path, {"class": {"public": True, "screening": screening}}) as it, AsyncExitStack() as stack:
        ann, mod = await _in(it, stack, ANN), await _in(it, stack, MODERATOR)
        refused = await _said(ann, "what a z\u0435brafinch")  # with a Cyrillic letter
        assert ("error", "word") == (refused["type"], refused["code"])
        assert "zebrafinch" not in str(refused)
        assert "held" == (await _said(ann, "a wombat"))["type"]
        assert "ack" == (await _said(mod, "zebrafinch"))["type"]
        it.room().flush()
        await mod.until(lambda: any(one["kind"] == "held" for one in mod.events))
        (held,) = [one for one in mod.events if one["kind"] == "held"]
        assert ("word", "held_words: wombat") == (held["why"], held["entry"])
        answers = [(await _said(ann, f"number {number}")).get("code", "ack") for number in range(4)]
        assert "rate_limited" == answers[-1]


async def test_links_go_only_where_the_room_lets_them(tmp_path: Path) -> None:
    """With links off, to the hosts that its settings name; staff may link anywhere."""
    room = {"public": True, "mode": {"links": False}, "screening": {"link_hosts": ["school.example"]}}
    async with stage(tmp_path, {"class": room}) as it, AsyncExitStack() as stack:
        ann, host = await _in(it, stack, ANN), await _in(it, stack, HOST)
        assert "links_not_allowed" == (await _said(ann, "see https://evil.example/x"))["code"]
        assert "ack" == (await _said(ann, "see https://www.school.example/x"))["type"]
        assert "ack" == (await _said(host, "see https://anywhere.example/x"))["type"]


async def test_nobody_writes_under_a_name_that_passes_for_the_teachers(tmp_path: Path) -> None:
    """Look-alike letters included; whoever has another name is not bothered."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        await _in(it, stack, ("Prof. Ada Klein", "host"))
        for name, expected in (
            ("Prof. \u0410da Klein", "name_imitates"),
            ("Moderator", "name_imitates"),
            ("Ben", "ack"),
        ):
            client = await _in(it, stack, (name, "participant"))
            answer = await _said(client)
            assert expected == answer.get("code", answer["type"])


async def test_the_operators_filter_is_asked_before_anything_is_written(tmp_path: Path) -> None:
    """It allows, holds or refuses; staff is not asked about."""
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    secret.chmod(0o600)
    async with webhook() as hook, AsyncExitStack() as stack:
        screening = {"filter_url": hook.url, "filter_secret_file": str(secret)}
        rooms = {"class": {"public": True, "screening": screening}}
        named = (f"127.0.0.1:{hook.port}",)
        it = await stack.enter_async_context(stage(tmp_path, rooms, loopback_origins=named))
        ann, host = await _in(it, stack, ANN), await _in(it, stack, HOST)
        answers = []
        for verdict in ("allow", "hold", "refuse"):
            hook.answer = reply(f'{{"verdict":"{verdict}"}}'.encode())
            answer = await _said(ann, f"one to {verdict}")
            answers.append(answer.get("code", answer["type"]))
        assert ["ack", "held", "filter"] == answers
        assert "ack" == (await _said(host))["type"]
        assert 3 == len(hook.asked)


async def test_a_guest_proves_to_be_a_person_once(tmp_path: Path) -> None:
    """Where the room asks for a CAPTCHA; whoever did not solve it reads on."""
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    secret.chmod(0o600)
    async with webhook() as hook, AsyncExitStack() as stack:
        screening = {"human_check_url": hook.url, "human_check_secret_file": str(secret)}
        rooms = {"class": {"public": True, "guests": "write", "mode": {"write": "everyone"}, "screening": screening}}
        named = (f"127.0.0.1:{hook.port}",)
        it = await stack.enter_async_context(stage(tmp_path, rooms, loopback_origins=named))
        told = []
        for human, success in ((None, True), ("wrong", False), ("solved", True)):
            hook.answer = reply(f'{{"success":{str(success).lower()}}}'.encode())
            client: Client = await stack.enter_async_context(it.connected("class"))
            await client.hello(None, human=human)
            answers = [await _said(client, f"{human} {number}") for number in range(2)]
            told.append([one.get("code", one["type"]) for one in answers])
        assert [["human_check"] * 2, ["human_check"] * 2, ["ack", "ack"]] == told
        assert 3 == len(hook.asked)  # once for who solved it, each time for who did not


async def test_the_past_as_it_happened_shows_what_was_hidden_and_by_whom(tmp_path: Path) -> None:
    """For those who run the room; everyone else sees it as moderated, and is refused the other view."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        ann = await _in(it, stack, ANN)
        said = await _said(ann, "rude words")
        await _deed(it, MODERATOR, "hide", target=said["offset"], reason="unkind")
        staff = await it.get("/v1/rooms/class/messages?class=staff", it.token("class", *MODERATOR))
        (shown,) = [one for one in staff.json()["messages"] if one["offset"] == said["offset"]]
        assert ("rude words", "hidden", "mod", "unkind") == (
            shown["text"],
            shown["hidden"]["kind"],
            shown["hidden"]["by"]["name"],
            shown["hidden"]["reason"],
        )
        assert "private, no-store" == staff.headers["cache-control"]
        assert "rude words" not in (await it.get("/v1/rooms/class/messages")).text
        for token in (None, it.token("class", *ANN)):
            assert 403 == (await it.get("/v1/rooms/class/messages?class=staff", token)).status_code


async def test_ones_own_held_and_private_messages_can_be_read_again(tmp_path: Path) -> None:
    """On another device; nobody else's, and not what staff noted about them."""
    async with stage(tmp_path, ROOMS) as it, AsyncExitStack() as stack:
        await _deed(it, HOST, "mode", mode={"private": True, "approval": True})
        ann, host = await _in(it, stack, ANN), await _in(it, stack, HOST)
        await _said(ann, "held one")
        await _said(ann, "to the host", to=["host"])
        await _said(host, "to Ann", to=[_key(it, ANN)])
        await _deed(it, HOST, "note", author=_key(it, ANN), text="late again")
        for who, expected in ((ANN, ["held one", "to the host", "to Ann"]), (BEN, [])):
            own = await it.get("/v1/rooms/class/messages?class=own", it.token("class", *who))
            assert expected == [one["text"] for one in own.json()["messages"]]
