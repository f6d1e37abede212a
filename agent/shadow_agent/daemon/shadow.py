"""Where the shadow is: its name resolved, and whether it answers."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from shadow_agent.config import ShadowUrl
from shadow_agent.errors import UsageError
from shadow_agent.replay.sockets import Endpoint

_REACH_S: Final = 1.0


class Resolved(NamedTuple):
    """What connect(2) needs, and the address in itself."""

    family: int
    sockaddr: tuple[str | int, ...]
    address: IPv4Address | IPv6Address


def resolve(shadow: ShadowUrl) -> Resolved:
    """The first address of its name. Raises UsageError."""
    try:
        found = socket.getaddrinfo(shadow.host, shadow.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise UsageError(
            f"--shadow {shadow}: {shadow.host} does not resolve ({exc})",
            "give an address, or mend the name service",
        ) from exc
    family, _, _, _, sockaddr = found[0]
    address = ip_address(str(sockaddr[0]).partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return Resolved(
        family, tuple(part for part in sockaddr if isinstance(part, str | int)), address
    )


def trouble_with(endpoint: Endpoint) -> str | None:
    """Why the shadow cannot be connected to now, or None."""
    with socket.socket(endpoint.family, socket.SOCK_STREAM) as sock:
        sock.settimeout(_REACH_S)
        try:
            if endpoint.interface is not None:
                device = os.fsencode(endpoint.interface) + b"\0"
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            sock.connect(endpoint.address)
        except OSError as exc:
            return exc.strerror or str(exc)
    return None
