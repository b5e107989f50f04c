"""docs/embedding.md: what it tells a backend to do makes tokens that the relay reads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from chatsync.service.auth import Identity, TokenAuthority
from chatsync.service.keys import TokenKeySettings, read_keys
from chatsync.service.openid import provider_of
from chatsync.service.settings import Settings, check_safe
from tests.relay import SECRET

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "embedding.md").read_text("utf-8")
NAME = "Zoë 🎓 " + "x" * 40


def blocks(language: str) -> list[str]:
    """Examples of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


PYTHON, SIGNED = blocks("python")
(NODE,) = blocks("js")
(PHP,) = blocks("php")
KEYS, PROVIDER = (tomllib.loads(block) for block in blocks("toml"))


def read(token: str, **keys: Any) -> Identity:
    """What the relay makes of a token, now."""
    return TokenAuthority(SECRET.encode(), **keys).identify(token, wall_us=time.time_ns() // 1_000)


def assert_is_right(identity: Identity) -> None:
    """It is the person that was asked for, for an hour, under a name of the longest kind."""
    told = (identity.subject, identity.name, identity.role, identity.rooms)
    assert ("u7", NAME[:32], "host", ("math-101",)) == told
    assert identity.expires_us == identity.issued_us + 3_600_000_000


def test_the_python_makes_a_good_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands on the page."""
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", SECRET)
    names: dict[str, Any] = {}
    exec(PYTHON, names)
    assert_is_right(read(names["chat_token"]("u7", NAME, "math-101", "host")))


def test_the_node_makes_a_good_token(tmp_path: Path) -> None:
    """As it stands on the page, in a real Node."""
    program = tmp_path / "token.mjs"
    program.write_text(f"{NODE}\nconsole.log(chatToken('u7', {json.dumps(NAME)}, 'math-101', 'host'));\n", "utf-8")
    told = subprocess.run(
        [Path(sys.executable).parent / "node", program],
        env=os.environ | {"CHATSYNC_TOKEN_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert_is_right(read(told.stdout.strip()))


def test_the_php_has_the_same_claims() -> None:
    """It cannot be run here, which the page says; at least it forgets none."""
    claims = set(re.findall(r"'(\w+)' =>", PHP)) - {"alg", "typ"}
    assert {"iss", "aud", "sub", "name", "role", "rooms", "iat", "exp"} == claims
    assert "**The PHP has not been run**" in PAGE


def test_a_key_pair_signs_as_the_page_says(tmp_path: Path) -> None:
    """The settings of the page, with the public half, read what the private half signed."""
    key = Ed25519PrivateKey.generate()
    public = tmp_path / "backend.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (given,) = KEYS["token_keys"]
    keys = read_keys([TokenKeySettings(**given | {"file": public})])
    names: dict[str, Any] = {"os": os}
    exec(PYTHON + SIGNED, names)
    now = int(time.time())
    claims = {"iss": "chatsync", "aud": "chatsync", "sub": "u7", "role": "viewer", "rooms": ["a"], "iat": now}
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert "u7" == read(names["signed"](claims | {"exp": now + 60}, private), keys=keys).subject


def test_the_settings_of_a_provider_are_accepted() -> None:
    """The relay would start with them."""
    settings = Settings(token_secret=SECRET, **PROVIDER)  # type: ignore[arg-type]
    check_safe(settings)
    provider = provider_of(settings)
    assert provider is not None
    assert "https://chat.example/role" == provider.role_claim
