"""Documents that this data folder signs: checkpoints of the audit log, receipts of erasures.

Owns: the signing key (``signing.key``, made when it is first needed), what exactly is signed, checking. Does not know: what documents
say. Source: RFC 8032 (Ed25519); security-and-privacy §7 and §8; decision 0040.

What is signed is the document as JSON without its member ``signature``: names sorted, no spaces, UTF-8. A document holds texts, whole
numbers, booleans, null, and lists and objects of these, so that any JSON library makes the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chatsync.errors import CorruptError
from chatsync.store.files import Files

__all__ = ["Signer", "known_key", "signed_words", "why_not_signed"]

_KEY_BYTES_MAX = 4_096


class Signer:
    """Signs documents with a key.

    Attributes:
        key: the public key, 64 hexadecimal digits.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = private.public_key().public_bytes_raw().hex()

    def __repr__(self) -> str:
        return f"Signer({self.key})"

    @classmethod
    def of(cls, files: Files) -> Signer:
        """The signer of a data folder whose lock the caller has; its key is made if there is none.

        Raises:
            CorruptError: the key is none.
            OSError: it cannot be read or written.
        """
        private = _read(files.signing_key)
        if private is None:
            private = Ed25519PrivateKey.generate()
            files.write(
                files.signing_key,
                private.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                ),
            )
        return cls(private)

    def signed(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with the public key and the signature."""
        with_key = document | {"key": self.key}
        signature = self._private.sign(signed_words(with_key))
        return with_key | {"signature": base64.urlsafe_b64encode(signature).decode().rstrip("=")}


def known_key(files: Files) -> str | None:
    """The public key of a data folder, 64 hexadecimal digits; None if nothing was signed in it yet.

    Raises:
        CorruptError: the key is none.
        OSError: it cannot be read.
    """
    private = _read(files.signing_key)
    return None if private is None else Signer(private).key


def _read(path: Path) -> Ed25519PrivateKey | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        body = file.read(_KEY_BYTES_MAX)
    try:
        private = serialization.load_pem_private_key(body, password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise CorruptError(path.name, "it is no key for Ed25519")
    return private


def signed_words(document: dict[str, Any]) -> bytes:
    """The bytes of a document that its signature is of."""
    return msgspec.json.encode({name: document[name] for name in document if name != "signature"}, order="sorted")


def why_not_signed(document: dict[str, Any], key: str | None = None) -> str | None:
    """Why a document is not what its signer signed; None if it is.

    Args:
        document: with ``key`` and ``signature``.
        key: the public key it must be signed with; None: the one it names. Then only changes show, not who signed.
    """
    named, signature = document.get("key"), document.get("signature")
    if not isinstance(named, str) or not isinstance(signature, str):
        return "it has no signature"
    if key is not None and named != key:
        return "it is signed with another key"
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(named))
        raw = base64.b64decode(signature + "=" * (-len(signature) % 4), altchars=b"-_", validate=True)
        public.verify(raw, signed_words(document))
    except (InvalidSignature, ValueError, TypeError, binascii.Error):
        return "it is not what was signed"
    return None
