"""Hostile text survives every format as text, as parsers that are not ours read it, and the table says where to put what."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pyarrow.parquet as pq
import pysubs2
import pytest
import webvtt
from defusedxml import ElementTree
from hypothesis import given

from chatsync.transfer.exporters.bilibili import ILLEGAL
from chatsync.transfer.exporters.formats import FORMATS
from chatsync.transfer.exporters.plain import name_of, several_lines
from chatsync.transfer.line import Line
from tests.transfer.exporters.lines import ABOUT, HOSTILE, hostile_lines, line

_WIDE = str.maketrans("\uff5b\uff5d\uff3c\uff1c\uff1e\u2236", "{}\\<>:")


def _written(name: str, lines: list[Line]) -> str:
    return b"".join(FORMATS[name].write(lines, ABOUT)).decode()


def _same(text: str) -> str:
    """Text as it can be compared where full-width forms stand for signs."""
    return several_lines(text).translate(_WIDE)


def test_the_table_tells_files_apart() -> None:
    """No two formats share a name or an ending."""
    assert len(FORMATS) == len({one.suffix for one in FORMATS.values()})
    assert list(FORMATS) == [one.name for one in FORMATS.values()]


@pytest.mark.parametrize("name", FORMATS)
def test_a_line_without_a_position_has_no_place_in_what_is_timed(name: str) -> None:
    """Formats by position leave out what has none, what is before the start, and what has no text; rows take all."""
    form = FORMATS[name]
    assert form.takes(line())
    for one in (line(position_us=None), line(at_us=-1), line(" \n")):
        assert form.takes(one) is not form.by_position


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_said_is_a_file_too(name: str) -> None:
    """An export of nothing is a file that its readers take."""
    written = b"".join(FORMATS[name].write([], ABOUT))
    assert (written == b"") is (name in {"ndjson", "srt"})


@given(hostile_lines())
def test_ndjson_and_csv_hold_every_letter(lines: list[Line]) -> None:
    """JSON and CSV as Python reads them have texts, names and details as they were; no cell begins with what runs in a spreadsheet."""
    told = [json.loads(one) for one in _written("ndjson", lines).split("\n") if one]
    assert [(one.text, one.author_name, one.details) for one in lines] == [
        (one["text"], one["author"]["name"], one.get("details", {})) for one in told
    ]
    rows = list(csv.reader(io.StringIO(_written("csv", lines), newline="")))
    assert len(lines) == len(rows) - 1
    for one, row in zip(lines, rows[1:], strict=True):
        assert row[8] in {one.text, f"'{one.text}"}
        assert not any(
            cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) for cell in row[7:9]
        )


@given(hostile_lines())
def test_parquet_holds_every_letter(lines: list[Line]) -> None:
    """Rows as pyarrow reads them are the lines."""
    table = pq.read_table(io.BytesIO(b"".join(FORMATS["parquet"].write(lines, ABOUT))))
    assert [(one.id, one.text, one.author_name, one.role, one.position_us) for one in lines] == list(
        zip(
            *(table.column(name).to_pylist() for name in ("id", "text", "author_name", "role", "position_us")),
            strict=True,
        )
    )


@given(hostile_lines())
def test_webvtt_has_a_cue_a_line_and_no_other(lines: list[Line]) -> None:
    """Cues as webvtt-py reads them: times, names and texts of the lines, none forged, none lost."""
    cues = webvtt.from_buffer(io.StringIO(_written("webvtt", lines))).captions
    assert [several_lines(one.text) for one in lines] == [
        html.unescape(re.sub(r"^<v[^>]*>", "", "\n".join(cue.lines))) for cue in cues
    ]
    assert [name_of(one) for one in lines] == [
        html.unescape(re.match(r"<v(?:\.mod)? ([^>]*)>", cue.lines[0])[1])  # type: ignore[index]
        for cue in cues
    ]
    assert [one.position_us for one in lines] == [
        cue.start_in_seconds * 1_000_000 + int(cue.start[-3:]) * 1_000 for cue in cues
    ]


@given(hostile_lines())
def test_srt_and_ass_have_a_cue_a_line_and_no_other(lines: list[Line]) -> None:
    """Events as pysubs2 reads them have each text, without a command in it."""
    for name in ("srt", "ass"):
        events = list(pysubs2.SSAFile.from_string(_written(name, lines), format_=name))
        assert [f"{_same(name_of(one))}: {_same(one.text)}" for one in lines] == [
            event.text.replace("\\N", "\n").translate(_WIDE) for event in events
        ]
        assert not any(re.search(r"[{}]", event.text) for event in events)


@given(hostile_lines())
def test_xml_has_a_line_each(lines: list[Line]) -> None:
    """Elements as defusedxml reads them have each text but for characters that XML cannot have."""
    found = ElementTree.fromstring(_written("bilibili", lines).encode()).findall("d")
    assert [ILLEGAL.sub("", one.text).replace("\r\n", "\n").replace("\r", "\n") for one in lines] == [
        one.text or "" for one in found
    ]
    assert all(8 == len(one.attrib["p"].split(",")) for one in found)


@given(hostile_lines())
def test_twitchdownloader_has_a_comment_a_line(lines: list[Line]) -> None:
    """Comments as JSON readers take them: body, fragments and offset of each line."""
    comments = json.loads(_written("twitch_downloader", lines))["comments"]
    assert [(one.text, one.author_name) for one in lines] == [
        (one["message"]["fragments"][0]["text"], one["commenter"]["display_name"]) for one in comments
    ]
    assert [(one.position_us or 0) / 1_000_000 for one in lines] == [one["content_offset_seconds"] for one in comments]


@given(hostile_lines())
def test_chapters_are_cues_in_order(lines: list[Line]) -> None:
    """Chapters as webvtt-py reads them follow each other without a gap, whatever their titles say."""
    chapters = webvtt.from_buffer(io.StringIO(_written("chapters", lines))).captions
    ends = [chapter.end for chapter in chapters[:-1]]
    assert ends == [chapter.start for chapter in chapters[1:]]
    assert all(1 == len(chapter.lines) for chapter in chapters)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"parquet", "chapters"}])
def test_every_hostile_text_is_written_in_every_format(name: str, text: str) -> None:
    """One by one, so that the format that fails is named."""
    assert _written(name, [line(text, author_name=text), line("after", at_us=9_000_000)]).count("after") >= 1
