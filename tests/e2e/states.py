"""The states a chat can be seen in, each as what is done to the stage before the chat is opened and after."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STATES", "State"]

_MODE = (
    "{write: 'participants', slow_ms: 0, approval: false, messages: true, questions: true, reactions: true, "
    "hands: true, links: true, private: true, replies: []}"
)
_MAY = "['read', 'say_message', 'say_question', 'react', 'raise_hand', 'lower_hand', 'upvote', 'vote', 'report']"
_STAFF_MAY = (
    "['read', 'read_staff', 'say_message', 'say_question', 'say_announcement', 'react', 'upvote', 'vote', 'report', "
    "'hide', 'restore', 'mute', 'ban', 'pin', 'unpin', 'approve', 'reject', 'answer', 'poll_close', 'lower_hand']"
)
_TALK = f"""
stage.you.may = {_MAY}; stage.state = {{ mode: {_MODE} }};
const texts = ['why is it negative?', 'the sign comes from the exponent, as in the derivation of last week', 'yes', 'ok'];
const last = stage.model.offset;
for (const event of stage.model.events.values()) Object.assign(event, {{ text: texts[event.offset % 4], author: event.offset % 3 }});
Object.assign(stage.model.events.get(last - 3), {{ kind: 'question', author: 1, text: 'Is it continuous at zero?' }});
Object.assign(stage.model.events.get(last - 2), {{ kind: 'announcement', author: 0, text: 'Homework is due on Friday.' }});
Object.assign(stage.model.events.get(last - 1), {{ behind_live_ms: 90_000 }});
Object.assign(stage.model.events.get(last), {{ reply_to: last - 4, fragments: [{{ type: 'text', text: 'see ' }},
  {{ type: 'link', text: 'the notes', url: 'https://example.org/notes' }},
  {{ type: 'emote', text: ':hi:', name: ':hi:', url: '/emotes/hi.png' }}] }});
"""
_STAFF = f"{_TALK} stage.you = {{ key: 'host', name: 'Ms Ada', role: 'host', may: {_STAFF_MAY} }};"
_POLL = (
    "{poll: 'p1', offset: 40, question: 'Is it continuous at zero?', choices: ['yes', 'no, it has a jump'], "
    "multiple: false, program_ms: stage.t0 + 50_000, tally: [7, 15], voters: 22}"
)
_QUESTIONS = (
    "[{offset: 57, text: 'Is it continuous at zero?', upvotes: 4, program_ms: stage.t0 + 56_000, "
    "author: stage.authors[1]}]"
)
_AT_END = "stage.player.state.atEnd = true;"
_ROOT = "chat.shadowRoot"


@dataclass(frozen=True, slots=True)
class State:
    """``before`` and ``after`` the chat is opened, in the page's own words; ``has`` is there when the state is reached."""

    before: str
    after: str
    has: str


STATES: dict[str, State] = {
    "following": State(_TALK, "", ".row[data-kind=question]"),
    "empty": State(f"{_TALK} stage.model.events.clear();", "", ".empty"),
    "reading": State(
        _TALK,
        f"{_ROOT}.querySelector('.log').focus(); {_ROOT}.querySelector('.log')"
        ".dispatchEvent(new KeyboardEvent('keydown', { key: 'PageUp', bubbles: true, composed: true }))",
        ".resume",
    ),
    "poll": State(
        f"{_TALK} {_AT_END} stage.state.polls = [{_POLL}]; stage.state.pinned = [{{ offset: 12, text: 'Slides: page 12' }}];",
        "",
        "[part=poll]",
    ),
    "poll of the host": State(f"{_STAFF} stage.state.polls = [{_POLL}];", "", "progress"),
    "questions": State(
        f"{_TALK} {_AT_END} stage.state.questions = {_QUESTIONS};",
        f"{_ROOT}.querySelector('[data-view=questions]').click()",
        "[data-question]",
    ),
    "actions": State(_STAFF, f"{_ROOT}.querySelector('.row:last-child .more').click()", ".actions"),
    "queue": State(
        f"{_STAFF} stage.say(stage.t0, {{ kind: 'held', author: 1, text: 'is this allowed?' }}); "
        "stage.say(stage.t0, { kind: 'reported', target: 56 }); "
        "stage.state.hands = [{ author: stage.authors[1], since_ms: stage.t0 }]; "
        "stage.past = [{ offset: 3, kind: 'message', program_ms: stage.t0, author: stage.authors[2], text: 'a word too much', "
        "hidden: { by: stage.authors[0], reason: 'unkind' } }];",
        f"{_ROOT}.querySelector('[data-view=staff]').click()",
        "[data-held], [data-hidden]",
    ),
    "options": State(_TALK, f"{_ROOT}.querySelector('button.options').click()", ".sheet"),
    "held": State(
        f"{_TALK} stage.onSay = (frame) => ({{ type: 'held', id: frame.id }});",
        "chat.session.say('my own, which waits')",
        ".row[data-state=held]",
    ),
    "refused": State(
        f"{_TALK} stage.onSay = (frame) => ({{ type: 'error', id: frame.id, code: 'slow_mode' }});",
        "chat.session.say('too fast')",
        ".row[data-state=failed]",
    ),
    "offline": State(_TALK, "stage.isDown = true; for (const socket of [...stage.sockets]) socket.end(1006)", ".note"),
    "replies": State(
        f"{_TALK} Object.assign(stage.state.mode, {{ messages: false, questions: false, private: false, replies: ['Yes', 'No'] }});",
        "",
        ".replies",
    ),
    "closed": State(f"{_TALK} stage.state.mode.write = 'nobody'; stage.state.mode.private = false;", "", "p.note"),
}
