"""A recording of two hours with its picture, in a browser: does the pane keep to it. ``python -m benchmarks.picture [--messages 100000 1000000]``.

ffmpeg makes two hours of tiny pictures, each with its own program time as black and white blocks, as HLS; in the middle an encoder has
failed, and program time jumps a minute ahead over a discontinuity. hls.js plays it, ``<chatsync-chat>`` goes by it, and the chat is that of
``benchmarks.replay``. After each of many random seeks a probe reads the blocks out of every presented frame and compares them
with the pane, as the tests of sync do (tests/e2e/probe.js). What counts: how far the pane is from the picture (95th percentile), from ``seeked`` until
the pane is complete and right, and the share of samples with a message from after the picture, or without one of the last 50 before it.
The last line is JSON.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from benchmarks.harness import Figures, finish, options, row, told
from benchmarks.loading import LeftOutError
from benchmarks.replay import CHROMIUM, DURATION_MS, START_MS, program_ms, put, recorded, served
from chatsync.media import BLOCKS, resolve_ffmpeg
from chatsync.service.app import player_folder
from tests.e2e.demo import PROBE, chromium

__all__ = ["main"]

FRAMES_PER_S = 25
HEIGHT_PX = 16
WHITE, BLACK = b"\xeb", b"\x10"
JUMP_MS = 60_000
HALF_MS = DURATION_MS // 2
SEEKS = 40
LOOK_MS = 400
LAST = 50
TOLERANCE_MS = 50
ERROR_TARGET_MS = 50.0
PANE_TARGET_MS = 150.0


def _program_at(position_ms: int) -> int:
    return START_MS + position_ms + (JUMP_MS if position_ms >= HALF_MS else 0)


def _frame(shown_ms: int) -> bytes:
    """One grey picture: the blocks of ``chatsync.media``, and nothing below them."""
    value = shown_ms % 2**BLOCKS.value_bits
    digits = sum(value >> shift & 15 for shift in range(0, BLOCKS.value_bits, 4))
    bits = [1, 0]
    bits += [value >> bit & 1 for bit in range(BLOCKS.value_bits)]
    bits += [digits >> bit & 1 for bit in range(BLOCKS.check_bits)]
    bits += [1, 0]
    return b"".join((WHITE if bit else BLACK) * BLOCKS.size_px for bit in bits) * HEIGHT_PX


def _filmed(folder: Path) -> None:
    """Two hours of HLS, dated where the encoder begins and where it begins again."""
    raw = f"-f rawvideo -pix_fmt gray -s {BLOCKS.block_count * BLOCKS.size_px}x{HEIGHT_PX} -r {FRAMES_PER_S} -i -"
    coded = f"-vf format=yuv420p -c:v libx264 -preset ultrafast -crf 30 -bf 0 -g {FRAMES_PER_S * 2}"
    listed = "-f hls -hls_time 4 -hls_list_size 0 -hls_playlist_type vod -hls_segment_filename"
    folder.mkdir()
    made = folder / "made.m3u8"
    command = [resolve_ffmpeg(), "-loglevel", "error", *raw.split(), *coded.split(), *listed.split()]
    with subprocess.Popen([*command, str(folder / "made%d.ts"), str(made)], stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for number in range(DURATION_MS * FRAMES_PER_S // 1000):
            encoder.stdin.write(_frame(_program_at(number * 1000 // FRAMES_PER_S)))
        encoder.stdin.close()
    lines, position_ms, is_dated = [], 0.0, [False, False]
    for line in made.read_text().splitlines():
        half = position_ms >= HALF_MS
        if line.startswith("#EXTINF") and not is_dated[half]:
            is_dated[half] = True
            moment = _program_at(round(position_ms))
            date = f"{_iso(moment)}"
            lines += [*(["#EXT-X-DISCONTINUITY"] if half else []), f"#EXT-X-PROGRAM-DATE-TIME:{date}"]
        lines.append(line)
        if line.startswith("#EXTINF"):
            position_ms += float(line.partition(":")[2].rstrip(",")) * 1000
    put(folder / "list.m3u8", "\n".join(lines).encode())
    for segment in folder.glob("*.ts"):
        put(segment, segment.read_bytes())


def _iso(moment_ms: int) -> str:
    from chatsync.instants import iso_from_us  # noqa: PLC0415

    return iso_from_us(moment_ms * 1000)


def _spans() -> list[dict[str, int]]:
    return [
        {"position_ms": at, "duration_ms": HALF_MS, "broadcast": 1, "program_ms": _program_at(at)}
        for at in (0, HALF_MS)
    ]


def _due(picture_ms: int, count: int) -> set[int]:
    """Offsets of the last messages before a picture; those of the minute that has no picture are left out."""
    cut = (START_MS + HALF_MS, START_MS + HALF_MS + JUMP_MS)
    number = int((picture_ms - START_MS) * count / DURATION_MS) + 2
    found: set[int] = set()
    for one in range(min(number, count - 1), -1, -1):
        at_ms = program_ms(one, count)
        if at_ms <= picture_ms and not cut[0] <= at_ms < cut[1]:
            found.add(one)
        if len(found) == LAST:
            break
    return found


def _wrong(samples: list[dict[str, Any]], count: int) -> tuple[int, int]:
    """How many samples hold a message from after the picture, and how many lack one of the last before it."""
    early = missing = 0
    for one in samples:
        early += any(at_ms > one["pictureMs"] + TOLERANCE_MS for at_ms in one["programs"])
        missing += not _due(one["pictureMs"] - TOLERANCE_MS, count) <= set(one["offsets"]) | _due(
            one["pictureMs"] - TOLERANCE_MS, count
        ) - _due(one["pictureMs"] + TOLERANCE_MS, count)
    return early, missing


def _looked(page: Page, chance: random.Random, seeks: int) -> tuple[list[dict[str, Any]], list[float]]:
    samples: list[dict[str, Any]] = []
    to_pane_ms: list[float] = []
    # One place in four lies just behind the jump.
    for position_ms in itertools.islice(_places(chance), seeks):
        page.evaluate(f"window.demo.nearMs = {_program_at(position_ms)}")
        done = page.evaluate(f"window.probe.seek({position_ms / 1000}, 10_000)")
        if done is None:
            raise LeftOutError(f"the pane was not right 10 s after a seek to {position_ms} ms")
        to_pane_ms.append(done["toPaneMs"])
        page.evaluate("window.probe.take()")
        page.wait_for_timeout(LOOK_MS)
        taken = page.evaluate("window.probe.take()")
        samples += [one for one in taken if None not in (one["pictureMs"], one["cutoffMs"]) and not one["seeking"]]
    return samples, to_pane_ms


def _places(chance: random.Random) -> Any:
    for number in itertools.count():
        yield HALF_MS + 500 + number if number % 4 == 3 else chance.randrange(60_000, DURATION_MS - 2 * JUMP_MS)


def _opened(browser: Browser, address: str, seeks: int) -> tuple[list[dict[str, Any]], list[float]]:
    page = browser.new_page(viewport={"width": 700, "height": 700})
    page.set_default_timeout(60_000)
    try:
        page.goto(f"{address}/pictured.html?near_ms={START_MS}")
        page.wait_for_function("window.demo.video.currentTime > 0 && window.demo.chat.shown.settled")
        page.evaluate("(blocks) => { window.demo.blocks = blocks; }", BLOCKS._asdict())
        page.add_script_tag(content=PROBE)
        page.evaluate("window.probe.start()")
        return _looked(page, random.Random(7), seeks)
    finally:
        page.close()


def _p95(values: list[float]) -> float:
    return round(sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)], 1)


def _measured(counts: list[int], seeks: int) -> Figures:
    if not CHROMIUM.is_file():
        raise LeftOutError("there is no Chromium (tests/e2e/install_chromium.sh)")
    if not (player_folder() / "chatsync-player.js").is_file():
        raise LeftOutError("the player is not built (python hatch_build.py)")
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as made, chromium(str(CHROMIUM)) as browser:
        told("filming two hours")
        _filmed(Path(made) / "video")
        for count in counts:
            told(f"writing {count:,} messages")
            folder = Path(made) / str(count)
            recorded(folder, count)
            put(
                folder / "v1/rooms/r/recordings/whole",
                json.dumps({"duration_ms": DURATION_MS, "spans": _spans()}).encode(),
            )
            (folder / "video").symlink_to(Path(made) / "video")
            with served(folder) as address:
                samples, to_pane_ms = _opened(browser, address, seeks)
            rows += _rows(count, samples, to_pane_ms)
    return {"rows": rows}


def _rows(count: int, samples: list[dict[str, Any]], to_pane_ms: list[float]) -> list[Figures]:
    errors_ms = [abs(one["cutoffMs"] - one["pictureMs"]) for one in samples]
    early, missing = _wrong(samples, count)
    told(f"{count:,}: {len(samples)} samples, error up to {max(errors_ms)} ms, pane up to {max(to_pane_ms):.0f} ms")
    shown = [
        ("pane from picture, p95", "ms", _p95(errors_ms), ERROR_TARGET_MS),
        ("seeked to the right pane, p95", "ms", _p95(to_pane_ms), PANE_TARGET_MS),
        ("samples with a message from after the picture", "", early, 0),
        ("samples without one of the last 50", "", missing, 0),
    ]
    return [
        row(f"{what}, two hours with {count:,} messages", unit, figure, target=target, better="lower", peers={})
        for what, unit, figure, target in shown
    ]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, seconds=0, rounds=1)
    parser.add_argument("--messages", type=int, nargs="+", default=[100_000, 1_000_000], help="in the recording")
    given = parser.parse_args()
    counts, seeks = (given.messages[:1], 8) if given.quick else (given.messages, SEEKS)
    finish(lambda: _measured(counts, seeks), only_json=given.json)


if __name__ == "__main__":
    main()
