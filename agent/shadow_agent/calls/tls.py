"""The name in a TLS ClientHello (RFC 8446 4.1.2, RFC 6066 3), all that can be read of TLS."""

from __future__ import annotations

from typing import Final

from shadow_agent.calls.call import Call, Protocol, clean

_MOST: Final = 16 << 10  # bytes of a ClientHello looked at; with many key shares it has 2 KiB
_RECORD_HEAD: Final = 5
_HELLO_HEAD: Final = 4
_HANDSHAKE: Final = 0x16
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_FIXED: Final = 34  # version and random


class TlsReader:
    """One call per connection, with the name that the ClientHello says."""

    __slots__ = ("_data", "_size", "complete")

    def __init__(self) -> None:
        self._data = b""
        self._size = 0
        self.complete = False  # the ClientHello is there, or there is too much to look on

    def feed(self, data: bytes) -> list[Call]:
        """No call before the end: a connection is one."""
        self._size += len(data)
        if not self.complete:
            self._data = (self._data + data)[:_MOST]
            self.complete = len(self._data) == _MOST or _hello(self._data)[1]
        return []

    def end(self) -> list[Call]:
        """The one call."""
        return [Call(Protocol.TLS, host=clean(server_name(self._data)), size=self._size)]


def server_name(data: bytes) -> bytes:
    """The name asked for in the first bytes of a TLS connection; empty when there is none."""
    hello, _ = _hello(data)
    try:
        return _name_in(hello)
    except IndexError:
        return b""


def _hello(data: bytes) -> tuple[bytes, bool]:
    """The handshake message in the records, and whether it is whole."""
    message, at = b"", 0
    while at + _RECORD_HEAD <= len(data) and data[at] == _HANDSHAKE:
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + _RECORD_HEAD : at + _RECORD_HEAD + length]
        at += _RECORD_HEAD + length
        if len(message) >= _HELLO_HEAD:
            whole = _HELLO_HEAD + int.from_bytes(message[1:4], "big")
            if len(message) >= whole:
                return message[_HELLO_HEAD:whole], True
        if not length:
            break
    return message[_HELLO_HEAD:], False


def _name_in(hello: bytes) -> bytes:
    """Raises IndexError where it is cut."""
    at = _FIXED
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at]  # compression
    end = min(at + 2 + int.from_bytes(hello[at : at + 2], "big"), len(hello))
    at += 2
    while at + 4 <= end:
        kind, length = hello[at] << 8 | hello[at + 1], hello[at + 2] << 8 | hello[at + 3]
        at += 4
        if kind == _SERVER_NAME and length > 4 and hello[at + 2] == _HOST_NAME:
            size = hello[at + 3] << 8 | hello[at + 4]
            return hello[at + 5 : at + min(5 + size, length)]
        at += length
    return b""
