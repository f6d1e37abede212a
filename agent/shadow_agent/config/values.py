"""Values of keys that are no plain text or number. They import nothing of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Also what no URL may have, such as a space or a slash in a password.
_USERINFO: Final = re.compile(r"((?:ofrep|flagds?):(?:\w+:)?/*|//).*@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ShadowUrl:
    """Where the candidate listens: a name or an address (IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """The URL as ``--shadow`` takes it."""
        return f"http://{endpoint(self.host.replace('%', '%25'), self.port)}"


class SessionKind(StrEnum):
    """What holds the requests of one user together."""

    # Requests of one production connection.
    CONNECTION = "connection"
    # Requests with the same value of a header.
    HEADER = "header"
    # Requests with the same value of a cookie.
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """How exchanges are told apart by session; ``name`` of the header or cookie, else empty."""

    kind: SessionKind = SessionKind.CONNECTION
    name: str = ""

    def __str__(self) -> str:
        """As the configuration takes it: ``connection``, ``header:X-User``, ``cookie:sid``."""
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


def endpoint(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unsaid(text: str) -> str:
    """Without user and password of a URL: what is printed ends up in logs and tickets."""
    return _USERINFO.sub(r"\1***@", text)
