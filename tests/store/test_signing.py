"""Documents that a data folder signs, and what shows that they were changed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chatsync.errors import CorruptError
from chatsync.store.files import Files
from chatsync.store.signing import Signer, known_key, signed_words, why_not_signed

FACTS: dict[str, Any] = {"format": "test 1", "room": "math-101", "number": 7, "left": None, "ok": True}


def test_a_key_is_made_once_and_is_for_us_alone(tmp_path: Path) -> None:
    """The first signature makes the key, mode 0600; later ones are by the same."""
    files = Files(tmp_path)
    assert known_key(files) is None
    first = Signer.of(files)
    assert first.key == Signer.of(files).key == known_key(files)
    assert 0o600 == stat.S_IMODE(files.signing_key.stat().st_mode)
    assert first.key not in files.signing_key.read_text()
    assert "PRIVATE" not in repr(first)


def test_what_was_signed_is_known_again(tmp_path: Path) -> None:
    """By the key it names and by the right one, not by another."""
    document = Signer.of(Files(tmp_path / "one")).signed(FACTS)
    other = Signer.of(Files(tmp_path / "two"))
    assert why_not_signed(document) is None
    assert why_not_signed(document, document["key"]) is None
    assert "it is signed with another key" == why_not_signed(document, other.key)


@pytest.mark.parametrize("name", [*FACTS, "key", "signature"])
def test_every_change_shows(tmp_path: Path, name: str) -> None:
    """A member changed, or left out, or one that was not signed."""
    document = Signer.of(Files(tmp_path)).signed(FACTS)
    without = {one: value for one, value in document.items() if one != name}
    for changed in (document | {name: "other"}, document | {name: 8}, without, document | {"more": 1}):
        assert why_not_signed(changed) is not None


def test_anybody_can_check_it_without_us(tmp_path: Path) -> None:
    """The bytes that are signed are sorted JSON without spaces: as the standard library of Python writes it."""
    document = Signer.of(Files(tmp_path)).signed(FACTS)
    plain = {name: value for name, value in document.items() if name != "signature"}
    words = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert words == signed_words(document)
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(document["key"]))


@pytest.mark.parametrize("body", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_is_told(tmp_path: Path, body: bytes) -> None:
    """It is not replaced by a new one: old signatures would look like somebody else's."""
    files = Files(tmp_path)
    files.signing_key.write_bytes(body)
    with pytest.raises(CorruptError):
        Signer.of(files)
    assert body == files.signing_key.read_bytes()


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    """Whoever can make a link here must not choose the file."""
    files = Files(tmp_path / "data")
    Signer.of(Files(tmp_path / "other"))
    files.signing_key.symlink_to(tmp_path / "other" / "signing.key")
    with pytest.raises(OSError, match="symbolic"):
        Signer.of(files)
