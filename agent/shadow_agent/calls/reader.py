"""Reader: what a caller sends on one connection → its calls, whatever protocol it speaks."""

from __future__ import annotations

from typing import Final, Protocol

from shadow_agent.calls.call import Body, Call
from shadow_agent.calls.call import Protocol as Kind
from shadow_agent.calls.mail import MailReader
from shadow_agent.calls.tls import TlsReader
from shadow_agent.calls.web import WebReader
from shadow_agent.flow.classify import classify

_ENOUGH: Final = 5  # bytes that tell a greeting from a method
_GREETINGS: Final = (b"EHLO", b"HELO", b"LHLO")
_TLS_HANDSHAKE: Final = 0x16


class Reads(Protocol):
    """What every reader does."""

    def feed(self, data: bytes) -> list[Call]:
        """The calls that these bytes complete."""

    def end(self) -> list[Call]:
        """The call that never became whole, if there is one."""


class OtherReader:
    """Counts what nobody here understands."""

    __slots__ = ("_body",)

    def __init__(self, key: bytes) -> None:
        self._body = Body(key)

    def feed(self, data: bytes) -> list[Call]:
        """See Reads."""
        self._body.add(data)
        return []

    def end(self) -> list[Call]:
        """See Reads: one call, whatever was sent."""
        return [Call(Kind.OTHER, size=self._body.size, body_hash=self._body.digest())]


class Reader:
    """Decides by the first bytes; a connection on which nothing was said is a call too."""

    __slots__ = ("_first", "_key", "_mail", "said")

    def __init__(self, key: bytes, *, mail: bool = False) -> None:
        """``mail``: known beforehand, because the answering side greeted."""
        self._key = key
        self._first = b""
        self._mail = mail
        self.said: Reads | None = None  # the reader in charge, once it is known

    def feed(self, data: bytes) -> list[Call]:
        """See Reads."""
        if self.said is None:
            self._first += data
            data, self.said = self._first, self._choose(self._first)
            if self.said is None:
                return []
            self._first = b""
        return self.said.feed(data)

    def end(self) -> list[Call]:
        """See Reads."""
        calls: list[Call] = []
        if self.said is None:
            self.said = OtherReader(self._key)
            calls = self.said.feed(self._first)
        return calls + self.said.end()

    def _choose(self, first: bytes) -> Reads | None:
        if self._mail or first[:4].upper() in _GREETINGS:
            return MailReader(self._key)
        if first[0] == _TLS_HANDSHAKE:
            return TlsReader()
        if len(first) < _ENOUGH and b"\n" not in first:
            return None
        return WebReader(self._key) if classify(first) is None else OtherReader(self._key)
