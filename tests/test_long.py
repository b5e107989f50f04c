"""The list of long forms: each names a test that is there and a variable that it reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.long import FORMS

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", FORMS)
def test_a_long_form_is_a_test_that_can_be_made_long(name: str) -> None:
    """Its file is there and reads every variable that is set for it."""
    source = (ROOT / FORMS[name].target).read_text(encoding="utf-8")
    assert [] == [variable for variable in FORMS[name].settings if f'"{variable}"' not in source]


def test_a_name_that_is_none_is_refused() -> None:
    """With those that there are, and nothing is run."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.long", "kils"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 2 == done.returncode
    assert "there is no kils; there are kills" in done.stderr
