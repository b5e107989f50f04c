"""Texts to begin with, and changes to them that a seed determines: those of line ends, tags, numbers, dates and whole blocks.

A mutator of ours, not a coverage-guided one: the format is lines, so that changing lines and values reaches the deep states that changing bytes
does not, and a run is the same everywhere from a seed and a count.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.corpus import corpus_folder
from tests.hls.builders import NOON_US, Media, live_text, media_text, stream

__all__ = ["CHARACTERS_MAX", "Mutator", "seed_texts"]

CHARACTERS_MAX = 6_000  # of one text: many small ones find more than few large ones
_FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "playlists"
_TAGS = (
    "#EXTM3U",
    "#EXTINF:",
    "#EXTINF:2.000,",
    "#EXTINF:0,",
    "#EXTINF",
    "#EXT-X-PROGRAM-DATE-TIME:2026-03-02T12:00:00Z",
    "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T24:00:00.5+05:30",
    "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00",
    "#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:60.999999999Z",
    "#EXT-X-PROGRAM-DATE-TIME:0001-01-01T00:00:00+14:00",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-DISCONTINUITY-SEQUENCE:4611686018427387904",
    "#EXT-X-MEDIA-SEQUENCE:0",
    "#EXT-X-MEDIA-SEQUENCE:4611686018427387904",
    "#EXT-X-TARGETDURATION:0",
    "#EXT-X-TARGETDURATION:86400",
    "#EXT-X-GAP",
    "#EXT-X-BYTERANGE:100",
    "#EXT-X-BYTERANGE:100@50",
    '#EXT-X-PART:DURATION=0.5,URI="p.m4s",INDEPENDENT=YES',
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p.m4s",BYTERANGE-START=5',
    '#EXT-X-RENDITION-REPORT:URI="v",LAST-MSN=5,LAST-PART=1',
    '#EXT-X-SKIP:SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES="a\tb"',
    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5,HOLD-BACK=6",
    "#EXT-X-PART-INF:PART-TARGET=0.5",
    '#EXT-X-DEFINE:NAME="a",VALUE="{$a}{$a}"',
    '#EXT-X-DEFINE:QUERYPARAM="t"',
    '#EXT-X-DATERANGE:ID="x",START-DATE="2026-03-02T12:00:00Z",DURATION=5',
    "#EXT-X-ENDLIST",
    "#EXT-X-PLAYLIST-TYPE:EVENT",
    "#EXT-X-STREAM-INF:BANDWIDTH=5",
    '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=5,URI="i"',
    "#EXT-X-MEDIA:TYPE=AUDIO",
    '#EXT-X-KEY:METHOD=AES-128,URI="k"',
    '#EXT-X-MAP:URI="init.mp4"',
)
_VALUES = (
    "",
    "0",
    "-1",
    "1e9",
    "nan",
    "inf",
    "9" * 30,
    "٣",
    "1_0",
    "0x1",
    "86400",
    "86401",
    '"',
    ",",
    "=",
    "{$a}",
    "\x00",
    "Z",
)
_CHARACTERS = '0123456789.,:="#-+TZ \t\r\n\x0b\x1c\x85\u2028\ufeff\x00{$}/?&é٣😀\ud800'
_SEEDS_MAX = 400


def seed_texts() -> list[str]:
    """Small playlists of ours, those of the fixtures, and those of the shared corpus if it is there."""
    texts = [
        live_text(stream(12), 4, 12),
        media_text(stream(6), first=3),
        media_text([Media(f"s{n}.ts", discontinuity=n == 3, gap=n == 4) for n in range(6)]),
        media_text(stream(3), tail='#EXT-X-PART:DURATION=0.5,URI="p0"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p1"'),
        media_text(stream(4, start_us=NOON_US - 10**7), first=10, header="#EXT-X-SKIP:SKIPPED-SEGMENTS=4", ended=True),
        "\n".join(("#EXTM3U", *_TAGS)) + "\na.ts\n",
    ]
    for folder in (_FIXTURES, corpus_folder()):
        if folder is not None and folder.is_dir():
            paths = sorted(folder.rglob("*.m3u8"))
            texts += [path.read_bytes().decode("utf-8", "replace")[:CHARACTERS_MAX] for path in paths]
    return texts[:_SEEDS_MAX]


class Mutator:
    """Changes texts.

    Args:
        texts: to begin with, and to take lines from.
        rng: decides everything.
    """

    def __init__(self, texts: list[str], rng: random.Random) -> None:
        self._texts = texts
        self._rng = rng
        self._lines = [text.splitlines() or [""] for text in texts]

    def text(self) -> str:
        """A text to begin with, as it is."""
        return self._rng.choice(self._texts)

    def mutated(self, text: str) -> str:
        """The text after a few changes, sometimes none, sometimes with other line ends."""
        rng = self._rng
        lines = text.splitlines()
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 5, 9))):
            self._change_lines(lines or [""])
        changed = rng.choice(("\n",) * 8 + ("\r\n", "\r")).join(lines)
        for _ in range(rng.choice((0, 0, 0, 1, 2, 4))):
            at = rng.randrange(len(changed) + 1)
            character = rng.choice(_CHARACTERS)
            changed = changed[:at] + character * rng.choice((0, 1, 1, 40)) + changed[at + rng.randrange(3) :]
        return changed[:CHARACTERS_MAX]

    def _change_lines(self, lines: list[str]) -> None:
        rng = self._rng
        at = rng.randrange(len(lines))
        action = rng.randrange(9)
        if action == 0:
            del lines[at : at + rng.choice((1, 1, 2, 6))]
        elif action == 1:
            lines.insert(at, rng.choice(_TAGS))
        elif action == 2:
            lines.insert(at, rng.choice(rng.choice(self._lines)))
        elif action == 3:
            name = lines[at].partition(":")[0]
            lines[at] = f"{name}:{rng.choice(_VALUES)}"
        elif action == 4:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif action == 5:
            lines[at:at] = lines[at : at + rng.choice((1, 3, 9))]
        elif action == 6:
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
        elif action == 7:
            lines[at : at + 2] = ["".join(lines[at : at + 2])]
        else:
            digits = [index for index, character in enumerate(lines[at]) if character.isdigit()]
            if digits:
                index = rng.choice(digits)
                lines[at] = lines[at][:index] + rng.choice("0123456789") + lines[at][index + 1 :]
