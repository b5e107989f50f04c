"""Whose address a connection comes from, also through a proxy.

Owns: which X-Forwarded-For entries are believed. Does not know: what the address is used for.
Source: security-and-privacy §7 (trusted-proxy list) and §9 (limits by address).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["peer_address"]


def peer_address(peer: str, forwarded: Sequence[str], trusted: tuple[str, ...]) -> str:
    """The nearest address that is not one of our proxies.

    Args:
        peer: the other end of the connection.
        forwarded: values of X-Forwarded-For, in the order of the headers; each may list several, the client first.
        trusted: addresses and networks of proxies; if empty, the header is believed from this machine only.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    address = peer
    while hops and _is_trusted(address, trusted or ("127.0.0.1", "::1")):
        address = hops.pop()
    return address[:64]


@lru_cache(maxsize=4_096)
def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    try:
        own = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(own in ipaddress.ip_network(network, strict=False) for network in trusted)
