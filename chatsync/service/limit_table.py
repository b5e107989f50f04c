"""The table of limits: what one client, one request, one playlist or one room may cost.

Owns: every limit with its unit, default, bounds and a sentence: those that are settings, and those that are not, of which the
pure layers own some; docs/settings.md prints both. Does not know: who enforces them. tests/spec/test_limits_hold.py tries each at the
limit and one over. Source: security-and-privacy, "Limits".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from chatsync.chat.patterns import PATTERN_BYTES_MAX, PATTERNS_MAX, PROGRAM_MAX, PROGRAMS_MAX
from chatsync.chat.room import RING_EVENTS_MAX
from chatsync.chat.screening import AUTHORS_MAX, SAID_MAX, WORDS_MAX
from chatsync.chat.session import HELLO_US_MAX
from chatsync.chat.text import (
    EMOTES_SHOWN_MAX,
    MARKS_MAX,
    NAME_CODE_POINTS_MAX,
    REASON_CHARACTERS_MAX,
    TEXT_CODE_POINTS_MAX,
)
from chatsync.chat.wire import ID_CHARACTERS_MAX, JSON_DEPTH_MAX
from chatsync.chat.words import ENTRY_CODE_POINTS_MAX
from chatsync.hls.playlist import LINE_CHARACTERS_MAX, SEGMENTS_MAX
from chatsync.instants import HOUR_US, MINUTE_US, SECOND_US
from chatsync.replay.slices import EVENTS_MAX
from chatsync.replay.state import HANDS_MAX, QUESTIONS_MAX
from chatsync.sources.irc import CHUNK_BYTES, CHUNK_PAUSE_S
from chatsync.sources.irc_session import LINE_BYTES_MAX
from chatsync.store.journal import DEDUPE_US

__all__ = [
    "ACTIVITY_BUCKETS_MAX",
    "AUDIENCES_MAX",
    "BACK_EVENTS_MAX",
    "CHOICE_CODE_POINTS_MAX",
    "CLIPS_MAX",
    "CONTEXT_AHEAD_MS_MAX",
    "CONTEXT_LAST_MAX",
    "EMOTES_MAX",
    "EMOTE_URL_CHARACTERS_MAX",
    "EXPORTS_MAX",
    "EXPORTS_PER_PERSON_MAX",
    "EXPORTS_S_MAX",
    "FED_AGE_US_MAX",
    "FED_BYTES_MAX",
    "FILTER_ANSWER_BYTES_MAX",
    "FINDING_WAITING_MAX",
    "FIXED_LIMITS",
    "GZIP_RATIO_MAX",
    "HELLO_LAST_MAX",
    "HUMAN_CHECK_ANSWER_BYTES_MAX",
    "HUMAN_TOKEN_CHARACTERS_MAX",
    "JWKS_BYTES_MAX",
    "JWKS_GRACE_US",
    "JWKS_PAUSE_US",
    "LEEWAY_US_MAX",
    "LIFETIME_US_MAX",
    "MESSAGES_MAX",
    "MIB",
    "MOMENTS_MAX",
    "PAGE_MAX",
    "PARTICIPANTS_SHOWN_MAX",
    "PRIVATE_FILE_BYTES_MAX",
    "PRIVATE_PEOPLE_MAX",
    "PURGES_WAITING_MAX",
    "QUERIES_MAX",
    "QUERIES_PER_PERSON_MAX",
    "QUERY_CHARACTERS_MAX",
    "QUERY_ROWS_MAX",
    "QUERY_S_MAX",
    "REACTIONS_MAX",
    "REASON_CHARACTERS_MAX",
    "RECOVERY_EVENTS_MAX",
    "REVOCATIONS_MAX",
    "RSA_BITS_MAX",
    "RSA_BITS_MIN",
    "SEARCH_CHARACTERS_MAX",
    "SEARCH_HITS_MAX",
    "SEARCH_WORDS_MAX",
    "SECRET_BYTES_MIN",
    "SEGMENTS_SHOWN_MAX",
    "SLICE_CACHE_S_BARE",
    "SOURCE_CONNECT_S",
    "SOURCE_LINES_KNOWN_MAX",
    "SOURCE_WAITING_MAX",
    "SPANS_MAX",
    "SUBJECT_CHARACTERS_MAX",
    "TOKEN_BYTES_MAX",
    "TOKEN_ROOMS_MAX",
    "URL_CHARACTERS_MAX",
    "FixedLimit",
    "Limits",
    "SettingModel",
    "setting",
]

MIB = 1024 * 1024


def setting(default: Any, sentence: str, *, unit: str = "", ge: int | None = None, le: int | None = None) -> Any:
    """A setting with its default, the sentence docs/settings.md prints, its unit and its bounds."""
    return Field(default=default, description=sentence, ge=ge, le=le, json_schema_extra={"unit": unit})


class SettingModel(BaseModel):
    """Frozen, strict about names, and silent about the values it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Limits(SettingModel):
    """What one client, one request or one playlist may cost."""

    frame_bytes_max: int = setting(
        16 * 1024, "A frame of the live socket; a longer one closes it.", unit="bytes", ge=1024, le=MIB
    )
    commands_per_s: int = setting(
        10,
        "Frames and posted actions of one person, on average; a platform that feeds messages is trusted.",
        unit="a second",
        ge=1,
        le=10_000,
    )
    commands_burst: int = setting(20, "As many of them may come at once.", unit="commands", ge=1, le=100_000)
    sockets_max: int = setting(
        10_000,
        "Open live connections; beyond it the answer is 503 and players poll.",
        unit="sockets",
        ge=1,
        le=1_000_000,
    )
    send_queue_bytes_max: int = setting(
        128 * 1024,
        "What may wait for one slow reader before it is closed with 4008.",
        unit="bytes",
        ge=16 * 1024,
        le=64 * MIB,
    )
    socket_buffer_bytes: int = setting(
        64 * 1024,
        "What the system may hold for one live socket besides; it doubles it for its own use.",
        unit="bytes",
        ge=4 * 1024,
        le=4 * MIB,
    )
    queues_percent_max: int = setting(
        25,
        "What may wait for slow readers in all, of this machine's memory; whoever is furthest behind is closed first.",
        unit="%",
        ge=1,
        le=90,
    )
    write_stall_s: int = setting(
        10, "How long a reader may take nothing before it is closed with 4008.", unit="s", ge=1, le=120
    )
    connections_per_person_max: int = setting(
        5, "Open live connections of one person in one room.", unit="sockets", ge=1, le=1_000
    )
    guests_per_address_max: int = setting(
        500,
        "Open live connections of one address without a token; a school is one address.",
        unit="sockets",
        ge=1,
        le=1_000_000,
    )
    knocks_per_s: int = setting(
        20,
        "Hellos of one address without a token, or with one that is refused, on average; with a good token unlimited.",
        unit="a second",
        ge=1,
        le=100_000,
    )
    knocks_burst: int = setting(100, "As many of them may come at once.", unit="hellos", ge=1, le=1_000_000)
    ping_s: int = setting(25, "How often a silent socket is pinged.", unit="s", ge=1, le=300)
    pong_s_max: int = setting(10, "How long a ping may stay unanswered.", unit="s", ge=1, le=300)
    slice_age_s: int = setting(
        60, "How long a player may keep a slice of a public room without asking again.", unit="s", ge=0, le=60
    )
    slice_cache_s: int = setting(
        300,
        "How long caches may keep a slice of a public room; above 300 only where they are told what is hidden (`purge`).",
        unit="s",
        ge=1,
        le=86_400,
    )
    head_bytes_max: int = setting(
        16 * 1024, "The head of an HTTP request: its line and headers.", unit="bytes", ge=1024, le=MIB
    )
    head_s_max: int = setting(10, "How long a head may take to come.", unit="s", ge=1, le=120)
    body_s_max: int = setting(60, "How long a body may take to come.", unit="s", ge=1, le=3_600)
    body_bytes_max: int = setting(64 * 1024, "The body of an HTTP request.", unit="bytes", ge=1024, le=16 * MIB)
    ndjson_bytes_max: int = setting(
        8 * MIB, "The body of a request with many messages, one a line.", unit="bytes", ge=1024, le=256 * MIB
    )
    playlist_bytes_max: int = setting(
        16 * MIB,
        "A playlist, decompressed; 100,000 segments take about 8 MiB.",
        unit="bytes",
        ge=16 * 1024,
        le=256 * MIB,
    )
    playlist_ms_max: int = setting(
        5_000,
        "Loading a playlist, redirects included, or the key set of an OpenID provider.",
        unit="ms",
        ge=100,
        le=60_000,
    )
    playlist_redirects_max: int = setting(
        3, "Redirects followed while loading a playlist.", unit="redirects", ge=0, le=10
    )
    rooms_max: int = setting(10_000, "Rooms of this node.", unit="rooms", ge=1, le=100_000)
    recordings_per_room_max: int = setting(
        1_000, "Recordings that one room has a map of.", unit="recordings", ge=1, le=100_000
    )
    heavy_reads_max: int = setting(
        2, "Reads of the archive at a time; others wait for their turn.", unit="reads", ge=1, le=64
    )
    filter_requests_max: int = setting(
        16, "Requests to the external filter of one room at a time; others wait, within their deadline.", ge=1, le=1_000
    )
    human_checks_max: int = setting(
        16, "Checks of one room at a time whether a guest is human; others wait, within the deadline.", ge=1, le=1_000
    )
    source_lines_per_s: int = setting(
        100,
        "Messages that one room takes in from a chat elsewhere, on average; beyond it they are left out and counted.",
        unit="a second",
        ge=1,
        le=10_000,
    )
    source_lines_burst: int = setting(1_000, "As many of them may come at once.", unit="messages", ge=1, le=100_000)


# --- what no setting changes --------------------------------------------------------------------------------------------

TOKEN_BYTES_MAX = 8 * 1024
LIFETIME_US_MAX = 24 * HOUR_US
LEEWAY_US_MAX = 30 * SECOND_US  # how far the minter's clock may differ from ours
TOKEN_ROOMS_MAX = 50
SUBJECT_CHARACTERS_MAX = 256
AUDIENCES_MAX = 16
SECRET_BYTES_MIN = 32
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192  # a check of 4,096 bits takes 0.1 ms, and each doubling four times as long
JWKS_BYTES_MAX = 64 * 1024
JWKS_PAUSE_US = MINUTE_US  # so that nobody who makes up names of keys can have the provider asked more often
JWKS_GRACE_US = HOUR_US  # longer than tokens of providers usually live
REVOCATIONS_MAX = 100_000  # ~20 MB of memory
PRIVATE_FILE_BYTES_MAX = 64 * 1024
HELLO_LAST_MAX = 200
RECOVERY_EVENTS_MAX = 10_000  # from the journal; more than that is a reset (contract §5)
BACK_EVENTS_MAX = 1_000  # contract §5
CHOICE_CODE_POINTS_MAX = 200
PRIVATE_PEOPLE_MAX = 20
REACTIONS_MAX = 50
EMOTES_MAX = 200
EMOTE_URL_CHARACTERS_MAX = 256  # it travels with each message that shows it
PAGE_MAX = 5_000
PARTICIPANTS_SHOWN_MAX = 1_000
ACTIVITY_BUCKETS_MAX = 5_000  # 14 h at 10 s
MOMENTS_MAX = 200
SEARCH_CHARACTERS_MAX = 100
SEARCH_WORDS_MAX = 8
SEARCH_HITS_MAX = 100
EXPORTS_MAX = 2
EXPORTS_PER_PERSON_MAX = 1
EXPORTS_S_MAX = 600
QUERIES_MAX = 2
QUERIES_PER_PERSON_MAX = 1
QUERY_S_MAX = 30
QUERY_CHARACTERS_MAX = 10_000
QUERY_ROWS_MAX = 10_000
FINDING_WAITING_MAX = 32  # each takes up to a second
FED_BYTES_MAX = 64 * 1024
MESSAGES_MAX = 10_000  # in one NDJSON body; its bytes are bounded too
FED_AGE_US_MAX = 24 * HOUR_US
SEGMENTS_SHOWN_MAX = 5_000
CONTEXT_LAST_MAX = 200
CONTEXT_AHEAD_MS_MAX = 120_000
SPANS_MAX = 20_000
CLIPS_MAX = 1_000
URL_CHARACTERS_MAX = 4_096
SLICE_CACHE_S_BARE = 300  # of caches that nobody tells anything
PURGES_WAITING_MAX = 10_000
FILTER_ANSWER_BYTES_MAX = 64 * 1024
HUMAN_CHECK_ANSWER_BYTES_MAX = 16 * 1024
HUMAN_TOKEN_CHARACTERS_MAX = 8 * 1024  # reCAPTCHA's have about 2,000, and grow
SOURCE_CONNECT_S = 10
SOURCE_LINES_KNOWN_MAX = 10_000  # ~3 MB; whoever takes something away does so within minutes
SOURCE_WAITING_MAX = 256  # messages on their way to the disk; what comes then waits in the network
GZIP_RATIO_MAX = 100  # 12 h of numbered segments reach 15; gzip itself can reach 1,030


@dataclass(frozen=True, slots=True)
class FixedLimit:
    """A limit that no setting changes, as docs/settings.md prints it."""

    name: str
    value: int
    unit: str
    sentence: str


FIXED_LIMITS: tuple[FixedLimit, ...] = (
    FixedLimit("text", TEXT_CODE_POINTS_MAX, "code points", "What one message says."),
    FixedLimit("name", NAME_CODE_POINTS_MAX, "code points", "The name others see."),
    FixedLimit("marks", MARKS_MAX, "marks", "Combining marks on one letter; more are dropped."),
    FixedLimit("id", ID_CHARACTERS_MAX, "characters", "The id a sender gives a message."),
    FixedLimit("emotes", EMOTES_MAX, "emotes", "Of a room's own."),
    FixedLimit("emote_url", EMOTE_URL_CHARACTERS_MAX, "characters", "Where the image of one is."),
    FixedLimit("emotes_shown", EMOTES_SHOWN_MAX, "emotes", "Shown in one text; what is beyond stays text."),
    FixedLimit("reason", REASON_CHARACTERS_MAX, "characters", "A moderator's reason; a longer one is cut."),
    FixedLimit(
        "json_depth", JSON_DEPTH_MAX, "levels", "Objects and lists within each other, in frames and fed messages."
    ),
    FixedLimit("hello", HELLO_US_MAX // SECOND_US, "s", "From the handshake to the hello; else 4505."),
    FixedLimit("hello_last", HELLO_LAST_MAX, "events", "What a hello may ask for as `last`; more is cut to it."),
    FixedLimit(
        "memory",
        RING_EVENTS_MAX,
        "events",
        "Of each room in memory: whoever missed no more causes no read of the disk.",
    ),
    FixedLimit(
        "recovery",
        RECOVERY_EVENTS_MAX,
        "events",
        "Missed events that are sent again on the socket; beyond is a `reset`.",
    ),
    FixedLimit(
        "back", BACK_EVENTS_MAX, "events", "Restored or moved by one deed and told one by one; beyond is a `reset`."
    ),
    FixedLimit("choice", CHOICE_CODE_POINTS_MAX, "code points", "One choice of a poll."),
    FixedLimit("private_people", PRIVATE_PEOPLE_MAX, "people", "A private message is for."),
    FixedLimit("reactions", REACTIONS_MAX, "emoji", "One may react with in a room."),
    FixedLimit(
        "participants_shown",
        PARTICIPANTS_SHOWN_MAX,
        "people",
        "In the list of those present, hosts and moderators first.",
    ),
    FixedLimit("questions", QUESTIONS_MAX, "questions", "In a room's state, most upvoted first."),
    FixedLimit("hands", HANDS_MAX, "hands", "Raised hands in a room's state."),
    FixedLimit("dedupe", DEDUPE_US // HOUR_US, "h", "An id sent again within it gets its first ack again."),
    FixedLimit(
        "slice_events", EVENTS_MAX, "events", "A slice is cut at the first whole second that brings it to this."
    ),
    FixedLimit("token", TOKEN_BYTES_MAX, "bytes", "A token."),
    FixedLimit("token_life", LIFETIME_US_MAX // HOUR_US, "h", "From `iat` to `exp`."),
    FixedLimit("token_leeway", LEEWAY_US_MAX // SECOND_US, "s", "How far the minter's clock may differ."),
    FixedLimit("token_rooms", TOKEN_ROOMS_MAX, "rooms", "Rooms and prefixes that a token names."),
    FixedLimit("token_subject", SUBJECT_CHARACTERS_MAX, "characters", "`sub` and `jti` of a token."),
    FixedLimit(
        "token_audiences", AUDIENCES_MAX, "audiences", "`aud` of an OpenID provider's token, where it is a list."
    ),
    FixedLimit("secret", SECRET_BYTES_MIN, "bytes", "The token secret has at least so many."),
    FixedLimit("rsa_bits", RSA_BITS_MIN, "bits", "A public RSA key has at least so many, and at most 8,192."),
    FixedLimit("jwks", JWKS_BYTES_MAX, "bytes", "The key set of an OpenID provider."),
    FixedLimit(
        "jwks_pause", JWKS_PAUSE_US // SECOND_US, "s", "Between two loads of it for keys that are not known, at least."
    ),
    FixedLimit("jwks_grace", JWKS_GRACE_US // MINUTE_US, "min", "A key that is no longer in it is good for so long."),
    FixedLimit("revocations", REVOCATIONS_MAX, "revocations", "In force at a time."),
    FixedLimit("private_file", PRIVATE_FILE_BYTES_MAX, "bytes", "A file of a secret or of request headers."),
    FixedLimit("page", PAGE_MAX, "messages", "A page of `GET …/messages`."),
    FixedLimit("fed_messages", MESSAGES_MAX, "messages", "In one request of a platform that feeds them."),
    FixedLimit("fed_bytes", FED_BYTES_MAX, "bytes", "One such message, as a line."),
    FixedLimit("fed_age", FED_AGE_US_MAX // HOUR_US, "h", "How far back such a message may be dated."),
    FixedLimit("segments_shown", SEGMENTS_SHOWN_MAX, "segments", "In an answer of `GET …/timeline`, the newest."),
    FixedLimit("context_last", CONTEXT_LAST_MAX, "events", "`last` of `GET …/at`."),
    FixedLimit("context_ahead", CONTEXT_AHEAD_MS_MAX, "ms", "`ahead_ms` of `GET …/at`."),
    FixedLimit(
        "activity_buckets", ACTIVITY_BUCKETS_MAX, "buckets", "In an answer of `GET …/activity`; they grow longer."
    ),
    FixedLimit("moments", MOMENTS_MAX, "moments", "Questions, polls, pins and gaps each in it, most upvoted first."),
    FixedLimit("search", SEARCH_CHARACTERS_MAX, "characters", "`q` of `GET …/search`."),
    FixedLimit("search_words", SEARCH_WORDS_MAX, "words", "In it."),
    FixedLimit("search_hits", SEARCH_HITS_MAX, "hits", "A page of it."),
    FixedLimit(
        "finding", FINDING_WAITING_MAX, "requests", "Of these two kinds at a time; beyond it the answer is 429."
    ),
    FixedLimit(
        "exports", EXPORTS_MAX, "files", "Made at a time for `GET …/export.{format}`; beyond it the answer is 429."
    ),
    FixedLimit("exports_per_person", EXPORTS_PER_PERSON_MAX, "files", "Of them for one person."),
    FixedLimit("export_time", EXPORTS_S_MAX, "s", "One of them may take, the reader's slowness included."),
    FixedLimit(
        "queries", QUERIES_MAX, "questions", "Answered at a time by `POST …/query`; beyond it the answer is 429."
    ),
    FixedLimit("queries_person", QUERIES_PER_PERSON_MAX, "questions", "Of one person at a time."),
    FixedLimit("query_time", QUERY_S_MAX, "s", "One of them may take."),
    FixedLimit("query", QUERY_CHARACTERS_MAX, "characters", "Its SQL."),
    FixedLimit("query_rows", QUERY_ROWS_MAX, "rows", "Of its answer."),
    FixedLimit("spans", SPANS_MAX, "spans", "Of one recording."),
    FixedLimit("clips", CLIPS_MAX, "clips", "A recording is put together from."),
    FixedLimit("purges", PURGES_WAITING_MAX, "keys", "Waiting for one cache that does not answer."),
    FixedLimit("patterns", PATTERNS_MAX, "patterns", "Of a room."),
    FixedLimit("pattern", PATTERN_BYTES_MAX, "bytes", "One pattern."),
    FixedLimit("pattern_program", PROGRAM_MAX, "instructions", "What RE2 makes of one pattern."),
    FixedLimit("pattern_programs", PROGRAMS_MAX, "instructions", "What it makes of all patterns of a room."),
    FixedLimit("words", WORDS_MAX, "words", "In a room's own lists."),
    FixedLimit("word", ENTRY_CODE_POINTS_MAX, "code points", "One entry of a list of words."),
    FixedLimit("said", SAID_MAX, "texts", "Of each room remembered, as numbers, to find duplicates."),
    FixedLimit("paced", AUTHORS_MAX, "people", "Of each room whose pace is remembered, to find floods."),
    FixedLimit("filter_answer", FILTER_ANSWER_BYTES_MAX, "bytes", "What an external filter answers."),
    FixedLimit("human_token", HUMAN_TOKEN_CHARACTERS_MAX, "characters", "What a guest's CAPTCHA gave them."),
    FixedLimit("human_check_answer", HUMAN_CHECK_ANSWER_BYTES_MAX, "bytes", "What the service behind it answers."),
    FixedLimit("source_connect", SOURCE_CONNECT_S, "s", "To connect to a chat elsewhere, TLS included."),
    FixedLimit(
        "source_pace",
        int(CHUNK_BYTES / 1024 / CHUNK_PAUSE_S),
        "KiB a second",
        "Read of an IRC server at most; what comes faster waits in the network.",
    ),
    FixedLimit("source_line", LINE_BYTES_MAX, "bytes", "A line of IRC; a longer one is left out."),
    FixedLimit(
        "source_known",
        SOURCE_LINES_KNOWN_MAX,
        "messages",
        "Of a chat elsewhere that can still be replied to, or taken away there.",
    ),
    FixedLimit(
        "source_waiting",
        SOURCE_WAITING_MAX,
        "messages",
        "Of a chat elsewhere on their way to the disk at a time; others wait in the network.",
    ),
    FixedLimit("playlist_url", URL_CHARACTERS_MAX, "characters", "The address of a playlist."),
    FixedLimit("playlist_segments", SEGMENTS_MAX, "segments", "Of a playlist: 4.6 days of 2 s segments."),
    FixedLimit("playlist_line", LINE_CHARACTERS_MAX, "characters", "Of a playlist; a longer one is cut."),
    FixedLimit("playlist_gzip", GZIP_RATIO_MAX, "to 1", "What a compressed playlist may grow by, past its first MiB."),
)
