"""What the outside knows: what was sent, answered and seen. The relay cannot lose it, whatever happens to its disk.

Owns: deeds and their answers, what each offset was seen to be, which text must not be seen any more. Does not know: what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.reader import Snapshot
    from tests.simulation.view import View
    from tests.simulation.world import World

__all__ = ["IDENTITY", "OTHER_TEXT", "Deed", "Ledger"]

OTHER_TEXT = "something else"
IDENTITY = ("id", "kind", "text", "author", "wall_ms", "reply_to", "target", "broadcast", "uncertainty_ms")
"""What an event is for good, wherever it moves."""


@dataclass(slots=True)
class Deed:
    """Something somebody said or did, under an id of theirs."""

    key: str
    frame: dict[str, Any]
    had_other_body: bool = False  # the id was used for something else too
    ack: dict[str, Any] | None = None
    errors: list[str] = field(default_factory=list)
    stamps: set[tuple[int, str]] = field(default_factory=set)  # of every ack: program time and how it was obtained
    was_done: bool = False  # an ack came, perhaps one without a place in the log

    @property
    def id(self) -> str:
        """The sender's id."""
        found: str = self.frame["id"]
        return found

    @property
    def is_answered(self) -> bool:
        """Whether the sender may stop sending it again."""
        return self.was_done or any(code not in {"storage", "storage_full"} for code in self.errors)


class Ledger:
    """Kept by the world, told by everybody in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.deeds: dict[tuple[str, str], Deed] = {}
        self.seen: dict[int, dict[str, Any]] = {}
        self.head = 0
        self.spoken: list[int] = []
        self.questions: list[int] = []
        self.hides: list[int] = []
        self.keys: list[str] = []
        self.snapshots: list[Snapshot] = []
        self.explored: list[View] = []
        self.closes: dict[int, int] = {}
        self.erased: set[str] = set()  # author keys
        self._words: dict[int, tuple[str, bytes]] = {}  # by offset: author key and what identifies the text
        self._hidden_ns: dict[int, int] = {}
        self._authors_hidden: list[tuple[str, int]] = []  # author key, offset of the hide
        self._restored: set[int] = set()
        self._authors_restored: set[str] = set()

    # --- deeds ----------------------------------------------------------------------------------------------------

    def note_deed(self, key: str, frame: dict[str, Any]) -> Deed:
        """Somebody is about to do something new."""
        if key not in self.keys:
            self.keys.append(key)
        deed = self.deeds[key, frame["id"]] = Deed(key, frame)
        return deed

    def note_sent(self, deed: Deed) -> None:
        """It was sent: from now on it may have been done."""
        if deed.frame.get("action") == "restore":
            if deed.frame.get("author") is None:
                self._restored.add(deed.frame["target"])
            else:
                self._authors_restored.add(deed.frame["author"])

    def note_answer(self, key: str, frame: dict[str, Any]) -> None:
        """An ack or an error came."""
        deed = self.deeds.get((key, frame["id"]))
        if deed is None:
            self._world.fail(f"an answer to what nobody did: {frame}")
            return
        if frame["type"] == "error":
            if frame["code"] == "id_reused" and not deed.had_other_body:
                self._world.fail(f"{deed.frame} was refused as id_reused")
            if frame["code"] in {"corrupt", "internal"}:
                self._world.fail(f"{deed.frame} was answered with {frame['code']}")
            deed.errors.append(frame["code"])
            return
        deed.was_done = True
        if "offset" not in frame:
            return
        if deed.ack is None:
            deed.ack = frame
            self._note_done(deed, frame["offset"])
        elif deed.ack["offset"] != frame["offset"]:
            self._world.fail(f"{deed.frame} was acked as {deed.ack['offset']} and again as {frame['offset']}")
        deed.stamps.add((frame["program_ms"], frame["stamp"]))

    def _note_done(self, deed: Deed, offset: int) -> None:
        self.head = max(self.head, offset)
        frame = deed.frame
        if frame["type"] == "say":
            self.spoken.append(offset)
            if frame["kind"] == "question":
                self.questions.append(offset)
            if not deed.had_other_body:
                word = frame["text"].partition("x")[0] + "x"
                self._words[offset] = (deed.key, word.encode())
                if any(key == deed.key and offset < cause for key, cause in self._authors_hidden):
                    self._hidden_ns.setdefault(offset, self._world.loop.now_ns)
        elif frame.get("action") == "hide":
            self._note_hide(frame, offset)

    def _note_hide(self, frame: dict[str, Any], cause: int) -> None:
        now_ns = self._world.loop.now_ns
        if frame.get("author") is None:
            self.hides.append(frame["target"])
            self._hidden_ns.setdefault(frame["target"], now_ns)
            return
        self._authors_hidden.append((frame["author"], cause))
        for offset, (key, _) in self._words.items():
            if key == frame["author"] and offset < cause:
                self._hidden_ns.setdefault(offset, now_ns)

    # --- what is seen ---------------------------------------------------------------------------------------------

    def note_seen(self, events: list[dict[str, Any]], who: str) -> None:
        """Somebody was shown events: an offset is the same for everyone, at all times."""
        for event in events:
            author = event.get("author")
            if isinstance(author, dict) and author["key"] in self.erased:
                continue  # has no name any more
            identity = {name: event.get(name) for name in IDENTITY}
            before = self.seen.setdefault(event["offset"], identity)
            if before != identity:
                self._world.fail(f"{who} was shown {identity} as offset {event['offset']}, others {before}")
            self.head = max(self.head, event["offset"])

    def hidden_words(self, before_ns: int | None = None) -> dict[int, bytes]:
        """By offset, words that nobody may see: hidden, with an ack before that time, and never asked back."""
        return {
            offset: self._words[offset][1]
            for offset, since_ns in self._hidden_ns.items()
            if offset in self._words
            and (before_ns is None or since_ns < before_ns)
            and offset not in self._restored
            and self._words[offset][0] not in self._authors_restored
        }

    def check_hidden(self, body: bytes, begun_ns: int, where: str) -> None:
        """An answer must not hold what was hidden before it was asked for."""
        for offset, word in self.hidden_words(begun_ns).items():
            if word in body:
                self._world.fail(f"{where}: {word.decode()!r} (offset {offset}) was hidden before this was asked for")
