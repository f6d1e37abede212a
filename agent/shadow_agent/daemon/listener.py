"""A socket that listens where the operator said."""

from __future__ import annotations

import socket
from typing import Final

from shadow_agent.config import endpoint
from shadow_agent.errors import UsageError

_BACKLOG: Final = 128


def listen(address: tuple[str, int], flag: str) -> socket.socket:
    """TCP, at an address or a name of this host. Raises UsageError, which names ``flag``."""
    host, port = address
    try:
        family, kind, _, _, sockaddr = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(sockaddr)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as exc:
        raise UsageError(
            f"{flag} {endpoint(host, port)}: {exc.strerror or exc}",
            "give a free port on an address of this host",
        ) from exc
    return listener
