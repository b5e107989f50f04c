"""What archiving leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys

_MEASURED = """
import pyarrow
from chatsync.service.archiving import give_back_memory
from tests.crowd import rss_mib
import os
pyarrow.array(range(1_000))
before = rss_mib(os.getpid())
held = [pyarrow.allocate_buffer(1 << 20, resizable=True) for _ in range(128)]
for buffer in held:
    memoryview(buffer).cast("B")[::4096] = bytes(256)
most = rss_mib(os.getpid())
del held, buffer
give_back_memory()
print(most - before, rss_mib(os.getpid()) - before)
"""


def test_memory_that_arrow_used_is_given_back() -> None:
    """After 128 MiB of buffers that are gone, most of it is the system's again."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": "."},
    )
    most, left = map(float, done.stdout.split())
    assert most > 100
    assert left < most / 2
