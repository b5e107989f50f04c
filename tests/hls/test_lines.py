"""chatsync.hls.lines: one pass through the lines, beside m3u8, and what hostile text costs."""

from __future__ import annotations

import tracemalloc
from datetime import UTC
from random import Random

import m3u8
import pytest

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.lines import Listed, read_lines
from chatsync.hls.playlist import LINES_MAX, MediaPlaylist, parse_playlist
from chatsync.hls.tags import ATTRIBUTES_MAX, DAMAGED_MAX, FILLED_CHARACTERS_MAX, FILLED_SUM_MAX, Reading
from chatsync.instants import iso_from_us
from tests.corpus import expected_names, listed_names, playlist_text
from tests.fuzz.mutation import Mutator, seed_texts
from tests.hls.builders import NOON_US, parsed

BYTES_MAX = 2 * 1024 * 1024
PEAK_BYTES_MAX = 64 * 1024 * 1024
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
PDT = "#EXT-X-PROGRAM-DATE-TIME:"


def read(text: str) -> Listed:
    """A text read line by line."""
    return read_lines(text, Reading(UTC, {}, {}), segments_max=100_000, line_characters_max=8_192)


@pytest.mark.parametrize("name", [*expected_names(), *listed_names("nopdt")] or ["(no corpus)"])
def test_the_same_segments_as_m3u8(name: str) -> None:
    """On every corpus playlist that m3u8 reads and that is not damaged, URIs and durations are those it finds."""
    text = playlist_text(name)
    ours = parse_playlist(text)
    try:
        theirs = [one for one in m3u8.parse(text)["segments"] if "uri" in one]
    except Exception:  # the peer raises what it likes
        return
    if ours.warnings or not isinstance(ours, MediaPlaylist) or "{$" in text:
        return  # damaged, or with variables, which m3u8 does not fill in
    assert [one["uri"] for one in theirs] == [one.uri for one in ours.segments]
    assert [round(one["duration"] * 1_000_000) for one in theirs] == [one.duration_us for one in ours.segments]


def test_tags_belong_to_the_next_uri() -> None:
    """Facts stand beside the URI they precede; what comes after the last one is of the segment to come."""
    listed = read(f"{HEAD}#EXT-X-GAP\n#EXTINF:4,\na\n#EXTINF:3,\nb\n{PDT}2026-03-02T12:00:00Z\n#EXT-X-DISCONTINUITY\n")
    assert (["a", "b"], [4_000_000_000, 3_000_000_000], [None, None]) == listed[:3]
    assert ({0: {"gap": True}}, {"discontinuities": 1}, NOON_US * 1000) == listed[3:]


def test_a_remembered_minute_gives_the_same_instants() -> None:
    """Dates looked up in parts are those read whole: across minutes, with fractions, offsets, second 60 and hour 24."""
    written = [iso_from_us(NOON_US + number * 7_654_321) for number in range(300)]
    written += [f"2026-03-02T{hour:02}:59:{second}" for hour in (11, 12) for second in ("59Z", "60Z", "59.5+05:30")]
    written += ["2026-03-02T12:00:01+0100", "2026-03-02T12:01:01+0100", "2026-03-01T24:00:00Z", "2026-03-01T24:00:01Z"]
    apart = [parsed(f"{HEAD}{PDT}{one}\n#EXTINF:4,\na\n").segments[0].program_ns for one in written * 2]
    together = parsed(HEAD + "".join(f"{PDT}{one}\n#EXTINF:4,\na\n" for one in written * 2))
    assert apart == [one.program_ns for one in together.segments]


def test_a_damaged_extinf_without_colon_still_holds_its_number() -> None:
    """The URI after it is the segment it was meant for, and the numbering stays sure."""
    playlist = parsed(f"{HEAD}#EXTINF 3.0,\na.ts\n#EXTINF:3,\nb.ts\n")
    assert (["a.ts", "b.ts"], True) == ([one.uri for one in playlist.segments], playlist.numbering_sure)


# --- bounds --------------------------------------------------------------------------------------------------------------


def filled(unit: str) -> str:
    """2 MiB of the same lines."""
    return (HEAD + unit * (BYTES_MAX // len(unit)))[:BYTES_MAX]


HOSTILE = {
    "segments": "#EXTINF:2,\na\n",
    "regular": f"#EXTINF:2.002,\n{PDT}2026-03-02T12:00:00Z\nsegment.ts\n",
    "uris": "a\n",
    "blank": "\n",
    "comments": "#\n",
    "parts": '#EXT-X-PART:DURATION=1,URI="p"\n',
    "keys": '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:2,\na\n',
    "quotes": "#EXT-X-DATERANGE:" + 'A="x,' * 1_600 + "\n",
    "equals": "#EXT-X-DATERANGE:" + "A=" * 4_000 + '"\n',
    "commas": "#EXT-X-DATERANGE:" + "," * 8_000 + "\n",
    "glued": "#EXTINF:2,a.ts#EXTINF:2,b.ts#EXT-X-DISCONTINUITY\n",
    "bad dates": f"{PDT}yesterday\n#EXTINF:2,\na\n",
    "variants": "#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n",
    "remnants": "EXTINF:2,\n",
    "lost addresses": "#EXTINF:2,\n",
    "one line": "x" * BYTES_MAX,
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_two_mebibytes_take_little_memory(shape: str) -> None:
    """Whatever 2 MiB are made of, reading or refusing them needs at most 64 MiB at any moment."""
    text = filled(HOSTILE[shape])
    tracemalloc.start()
    try:
        parse_playlist(text)
    except PlaylistSyntaxError:
        pass
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes <= PEAK_BYTES_MAX


@pytest.mark.parametrize("unit", ["\n", "#\n", "\r", "a\n", "#EXT-X-GAP\n", "#EXT-X-DATERANGE:ID=a\n"])
def test_far_more_lines_than_segments_are_refused_unread(unit: str) -> None:
    """A list of lines that are no segments is no playlist; those that are make room for more."""
    with pytest.raises(PlaylistSyntaxError, match="more lines than segments"):
        parse_playlist(HEAD + unit * (LINES_MAX + 1))
    parse_playlist(HEAD + unit * (LINES_MAX + 1) + "#EXTINF:4,\na\n" * 2_000)


def test_only_so_many_attributes_are_read() -> None:
    """The rest of the tags cost a warning each up to a limit, then nothing; segments are read all the same."""
    reading = Reading(UTC, {}, {})
    text = HEAD + ("#EXT-X-DATERANGE:" + "A=1," * 300 + "\n") * 1_000 + "#EXTINF:4,\na\n"
    listed = read_lines(text, reading, segments_max=10, line_characters_max=8_192)
    assert (["a"], ATTRIBUTES_MAX // 200) == (listed.uris, len(reading.date_ranges))


def test_only_so_much_damage_is_looked_at() -> None:
    """After thousands of unreadable dates none is tried any more; the segments go on from the last good one."""
    damaged = f"{PDT}x\n#EXTINF:4,\na\n" * (DAMAGED_MAX + 10)
    playlist = parsed(
        f"{HEAD}{PDT}2026-03-02T12:00:00Z\n#EXTINF:4,\na\n{damaged}{PDT}2027-03-02T12:00:00Z\n#EXTINF:4,\nb\n"
    )
    assert "forward" == playlist.segments[-1].program_source


def test_variables_cannot_blow_up_the_text() -> None:
    """A text they would make too long stays as written, and so do all after too many."""
    value = "y" * 7_000
    head = f'{HEAD}#EXT-X-DEFINE:NAME="a",VALUE="{value}"\n'
    assert ["{$a}{$a}"] == [one.uri for one in parsed(head + "#EXTINF:4,\n{$a}{$a}\n").segments]
    many = parsed(head + "#EXTINF:4,\n{$a}\n" * 2_000)
    assert len(value) <= FILLED_CHARACTERS_MAX
    assert FILLED_SUM_MAX // (len(value) + 4) == sum(1 for one in many.segments if one.uri == value)


def test_variables_that_name_each_other_do_not_double() -> None:
    """Forty doublings would fill the memory of the machine."""
    chain = "".join(f'#EXT-X-DEFINE:NAME="a{n + 1}",VALUE="{{$a{n}}}{{$a{n}}}"\n' for n in range(40))
    playlist = parsed(f'{HEAD}#EXT-X-DEFINE:NAME="a0",VALUE="yyyyyyyy"\n{chain}#EXTINF:4,\n{{$a40}}\n')
    assert len(playlist.segments[0].uri or "") <= FILLED_CHARACTERS_MAX


@pytest.mark.parametrize("block", [1, 50, 300])
def test_a_long_list_read_in_blocks_says_the_same(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Wherever blocks end, lost URIs, dates before and after EXTINF, remnants and variables are read alike."""
    mutator = Mutator(seed_texts(), Random(block))
    texts = ["#EXTM3U\n" + "\n".join(mutator.mutated(mutator.text()) for _ in range(3)) for _ in range(200)]
    whole = [parse_playlist(text) for text in texts]
    monkeypatch.setattr("chatsync.hls.lines._BLOCK_CHARACTERS", block)
    assert whole == [parse_playlist(text) for text in texts]
