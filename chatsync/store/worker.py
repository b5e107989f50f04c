"""Archive files made in a process of its own, so that neither its memory nor its work is the relay's.

Owns: that process from its start to its end, and what is said over its pipes. Does not know: what is in a file (``store.making``),
which file is believed (``store.archive``). Source: decision 0021.

The process reads the data folder and writes files beside their places; nothing of the archive changes unless the relay moves
them. It is started when there is something to do, and ended when there is not, so that all it took is the system's again. It has no
socket and no descriptor of the relay's but two pipes, and ends at once when the other end of them is closed, however that came.
Whatever becomes of it, nothing is lost: the relay notes it, and asks again another time.

Over a pipe goes a length of four bytes, little-endian, and a MessagePack of that length: requests one way, answers the other.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TypeVar

import msgspec
import pyarrow as pa
import structlog

from chatsync.errors import CorruptError, StorageFailedError, StorageFullError, StoreError
from chatsync.instants import Range
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.journal_reads import JournalReads
from chatsync.store.making import FileMaker, MadeFile, Maker
from chatsync.store.recall import Recall
from chatsync.store.schema import without_pandas

__all__ = ["Worker"]

T = TypeVar("T")
_NICE = 10  # who waits for a message comes before who waits for a file
_END_S = 2.0  # for a process that was told to end
_LENGTH_BYTES = 4

_log = structlog.get_logger(__name__)


class _Span(msgspec.Struct, tag="span"):
    room: str
    broadcast: int
    start_us: int
    end_us: int
    before: list[ArchiveFile]


class _Record(msgspec.Struct, tag="record"):
    room: str
    broadcast: int
    before: list[ArchiveFile]


class _Offsets(msgspec.Struct, tag="offsets"):
    file: ArchiveFile


class _Up(msgspec.Struct, tag="up"):
    """The first that the process says: it is there."""


class _Made(msgspec.Struct, tag="made"):
    files: list[MadeFile]


class _Found(msgspec.Struct, tag="found"):
    offsets: bytes  # of eight bytes each, as this machine has them


class _Failed(msgspec.Struct, tag="failed"):
    code: str
    what: str = ""
    detail: str = ""


_Request = _Span | _Record | _Offsets
_Answer = _Up | _Made | _Found | _Failed
_requests = msgspec.msgpack.Decoder(_Request)
_answers = msgspec.msgpack.Decoder(_Answer)
_encode = msgspec.msgpack.Encoder().encode


class Worker:
    """A :class:`~chatsync.store.making.Maker` that lets another process do it.

    Args:
        folder: the data folder.
        here: makes files in this process where none can be started.
    """

    def __init__(self, folder: Path, here: Maker) -> None:
        self._folder, self._here = folder, here
        self._asking = threading.Lock()  # one request at a time
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def make_span(self, room: str, broadcast: int, span: Range, before: Sequence[ArchiveFile]) -> list[MadeFile]:
        """As :meth:`FileMaker.make_span <chatsync.store.making.FileMaker.make_span>`.

        Raises:
            StorageFailedError: the process has died of it, or the relay stops.
        """
        request = _Span(room, broadcast, span.start_us, span.end_us, list(before))
        answer = self._asked(request, _Made)
        return self._here.make_span(room, broadcast, span, before) if answer is None else answer.files

    def make_record(self, room: str, broadcast: int, before: Sequence[ArchiveFile]) -> list[MadeFile]:
        """As :meth:`FileMaker.make_record <chatsync.store.making.FileMaker.make_record>`.

        Raises:
            StorageFailedError: as :meth:`make_span`.
        """
        answer = self._asked(_Record(room, broadcast, list(before)), _Made)
        return self._here.make_record(room, broadcast, before) if answer is None else answer.files

    def offsets_in(self, file: ArchiveFile) -> Sequence[int]:
        """As :meth:`FileMaker.offsets_in <chatsync.store.making.FileMaker.offsets_in>`.

        Raises:
            StorageFailedError: as :meth:`make_span`.
        """
        answer = self._asked(_Offsets(file), _Found)
        return self._here.offsets_in(file) if answer is None else array("q", answer.offsets)

    def rest(self) -> None:
        """End the process; the next request starts another."""
        with self._asking:
            self._end()

    def close(self) -> None:
        """End the process for good, in the middle of its work too."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()  # what it was asked for ends with an error, and lets go of the lock
        with self._asking:
            self._end()

    def _asked(self, request: _Request, kind: type[T]) -> T | None:
        """The answer to a request; None if there can be no process."""
        with self._asking:
            if self._is_closed:
                raise StorageFailedError
            process = self._process or self._started()
            if self._is_closed:  # while it was started
                raise StorageFailedError
            if process is None:
                return None
            answer = _exchanged(process, request)
            if answer is None:
                status = self._end()
                if not self._is_closed:
                    _log.error("worker_died", doing=type(request).__name__.strip("_").lower(), status=status)
                raise StorageFailedError
        if isinstance(answer, _Failed):
            raise _error_of(answer)
        if not isinstance(answer, kind):
            raise TypeError(f"the worker answers {type(answer).__name__} where {kind.__name__} was asked for")
        return answer

    def _started(self) -> subprocess.Popen[bytes] | None:
        try:
            self._process = process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
                [sys.executable, "-P", "-m", "chatsync.store.worker", str(self._folder.absolute())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # what a terminal sends is for the relay, which ends it
            )
        except OSError as error:
            _log.warning("worker_not_started", error=type(error).__name__)
            return None
        if isinstance(_exchanged(process), _Up):
            return process
        _log.warning("worker_not_started", status=self._end())
        return None

    def _end(self) -> int | None:
        """Let the process go; its exit status, None if there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            status = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        process.stdout.close()
        return status


def _exchanged(process: subprocess.Popen[bytes], request: _Request | None = None) -> _Answer | None:
    """The next answer of a process, after a request; None if it is no more."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if request is not None:
            _write(process.stdin, request)
        body = _read(process.stdout)
    except (OSError, ValueError):
        return None
    return None if body is None else _answers.decode(body)


def _error_of(failed: _Failed) -> StoreError:
    if failed.code == CorruptError.code:
        return CorruptError(failed.what, failed.detail)
    return StorageFullError() if failed.code == StorageFullError.code else StorageFailedError()


def _write(pipe: IO[bytes], message: msgspec.Struct) -> None:
    body = _encode(message)
    pipe.write(len(body).to_bytes(_LENGTH_BYTES, "little") + body)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """The next message; None at the end, also if it comes in the middle of one."""
    head = pipe.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    body = pipe.read(length)
    return body if len(body) == length else None


# --- the process --------------------------------------------------------------------------------------------------


def main() -> None:
    """Do what is asked on standard input, until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whoever prints must not print into an answer
    os.nice(_NICE)
    without_pandas()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    maker = _maker(Path(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError):  # the relay is gone, and nobody is there to be told
        _write(answers, _Up())
        while True:
            _write(answers, _answer(maker, _requests.decode(requests.get())))
    os._exit(0)


def _listen(requests: queue.SimpleQueue[bytes]) -> None:
    """Hand on what is asked; at the end be gone at once, for the relay is: whatever is half done is worth nothing."""
    with os.fdopen(0, "rb", closefd=False) as pipe:
        while (body := _read(pipe)) is not None:
            requests.put(body)
    os._exit(0)


def _maker(folder: Path) -> FileMaker:
    files = Files(folder)
    journal = JournalReads(files)
    catalog = Catalog(journal)
    return FileMaker(files, journal, catalog, Recall(files, catalog))


def _answer(maker: FileMaker, request: _Request) -> _Answer:
    try:
        match request:
            case _Span(room, broadcast, start_us, end_us, before):
                return _Made(maker.make_span(room, broadcast, Range(start_us, end_us), before))
            case _Record(room, broadcast, before):
                return _Made(maker.make_record(room, broadcast, before))
            case _Offsets(file):
                return _Found(array("q", maker.offsets_in(file)).tobytes())
    except CorruptError as error:
        return _Failed(error.code, error.what, error.detail)
    except StoreError as error:
        return _Failed(error.code)


if __name__ == "__main__":
    main()
