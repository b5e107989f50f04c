"""The kit finds connectors that do not keep to the contract."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest

from chatsync.sources.contract import Connected, Connector, Line, LostError, Network, Told
from chatsync.sources.irc import IRC
from chatsync.sources.kit import ConnectorContract
from tests.irc_servers import ScriptedServer, scripted


class _Broken:
    """A connector that does as IRC's does, but for one thing."""

    source, realm = "irc", "here"

    def __init__(self, url: str, secrets: Mapping[str, str], fault: str) -> None:
        self._inner, self._fault, self._secrets = IRC.connector(url, {}), fault, secrets

    def __repr__(self) -> str:
        return f"_Broken({self._secrets if self._fault == 'shows' else ''})"

    async def told(self, network: Network) -> AsyncGenerator[Told, None]:
        held: list[Line] = []
        number = 0
        try:
            async for one in self._inner.told(network):
                match one:
                    case Line() if self._fault == "reorders":
                        held.append(one)
                        if len(held) == 2:
                            yield held.pop()
                            yield held.pop()
                    case Line() if self._fault == "renames":
                        number += 1
                        yield Line(id=one.id, text=one.text, author_id=str(number), author_name=one.author_name)
                    case Connected() if self._fault == "forgets":
                        pass
                    case _:
                        yield one
        except LostError:
            if self._fault != "swallows":
                raise


class _Source:
    schemes = ("irc",)

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def connector(self, url: str, secrets: Mapping[str, str]) -> Connector:
        if "@" in url and self._fault != "takes":
            raise ValueError("the address carries a password")
        return _Broken("irc://" + url.removeprefix("irc://").rpartition("@")[2], secrets, self._fault)


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        ("reorders", "test_order_is_kept"),
        ("renames", "test_a_person_has_one_id"),
        ("forgets", "test_what_is_said_is_told"),
        ("swallows", "test_a_lost_connection_is_told"),
        ("shows", "test_secrets_are_not_shown"),
        ("takes", "test_secrets_are_not_shown"),
    ],
)
def test_a_connector_that_breaks_the_contract_is_found(fault: str, found_by: str) -> None:
    """By the test that says what is wrong, which a connector without a fault passes."""

    class Checked(ConnectorContract):
        source = _Source(fault)
        secrets: ClassVar[Mapping[str, str]] = {"password": "correct horse"}
        within_s = 2

        def place(self) -> AbstractAsyncContextManager[ScriptedServer]:
            return scripted()

    class Sound(Checked):
        source = _Source("")

    getattr(Sound(), found_by)()
    with pytest.raises((AssertionError, TimeoutError, LostError, ValueError)):
        getattr(Checked(), found_by)()
