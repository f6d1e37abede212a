"""Frames between the supervisor and a child: 4 bytes of length, then the message."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

from shadow_agent.telemetry.snapshot import MAX_BYTES

_LENGTH: Final = struct.Struct("!I")
_CHUNK: Final = 1 << 18


def frame(message: bytes) -> bytes:
    """The message with its length in front."""
    return _LENGTH.pack(len(message)) + message


class Unframer:
    """Whole messages out of a byte stream, however it is cut."""

    def __init__(self) -> None:
        """Nothing received."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes, yield what is whole. ValueError when a message claims to be too large."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > MAX_BYTES:
                raise ValueError(f"a message of {size} bytes, at most {MAX_BYTES} are allowed")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield message


class ChildChannel:
    """The supervisor's end. Never blocks on a child."""

    def __init__(self, sock: socket.socket) -> None:
        """Takes over the socket."""
        sock.setblocking(False)
        self._sock = sock
        self._unframer = Unframer()

    def fileno(self) -> int:
        """For a selector."""
        return self._sock.fileno()

    def receive(self) -> list[bytes] | None:
        """The messages that are whole now, or None at its end. ValueError as in Unframer."""
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        return list(self._unframer.feed(data)) if data else None

    def send(self, message: bytes) -> bool:
        """Send a small message; False when the child does not take it now."""
        data = frame(message)
        try:
            return self._sock.send(data) == len(data)
        except OSError:
            return False

    def close(self) -> None:
        """Close our end."""
        self._sock.close()
