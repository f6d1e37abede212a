"""One socket to the shadow, from connect to close, and what has passed over it."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from shadow_agent.replay.sockets import smallest_rtt_us
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.reasons import Outcome

if TYPE_CHECKING:
    from shadow_agent.replay.connection import ShadowConnection
    from shadow_agent.replay.reply import ReplyReader


class State(StrEnum):
    """CLOSED → CONNECTING → OPEN → CLOSED, as often as needed."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    OPEN = "open"


class Channel(asyncio.Protocol):
    """Tells its connection what happens, until one of them closes it."""

    __slots__ = ("_closed", "_transport", "key", "owner", "reader", "sent", "timeline", "used")

    def __init__(self, owner: ShadowConnection, reader: ReplyReader) -> None:
        """Not connected yet."""
        self.owner = owner
        self.reader = reader
        self.timeline = Timeline()
        self.key = b""  # as the shadow-side tap reports it; b"" before there is a socket
        self.sent = 0  # bytes written
        self.used = False  # it has answered at least one request
        self._transport: asyncio.Transport | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        """The handshake is done and nobody has closed it."""
        return self._transport is not None

    @property
    def gone(self) -> bool:
        """Its connection has given it up, or the socket is closed."""
        return self._closed

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send, or keep until the kernel takes it."""
        if self._transport is not None:
            self.sent += len(data)
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once, by RST; the connection hears no more of it."""
        self._closed = True
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def round_trip_us(self) -> int | None:
        """The kernel's smallest round-trip time, µs; None when it is not known."""
        if self._transport is None:
            return None
        return smallest_rtt_us(self._transport.get_extra_info("socket"))

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Connected, unless nobody waits for it any more.

        Not in ``connection_made``: a transport aborted in there makes uvloop close its fd twice.
        """
        made = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if self._closed:
            made.abort()
        else:
            self._transport = made
            self.owner.opened()

    # --- called by the event loop ---

    def data_received(self, data: bytes) -> None:
        """Bytes of the shadow's answer, from here on hostile."""
        if not self._closed:
            self.owner.received(data)

    def eof_received(self) -> bool:
        """The shadow closed its side; the loop closes ours."""
        if not self._closed:
            self.owner.ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if not self._closed:
            self._closed = True
            reset = isinstance(exc, ConnectionResetError | BrokenPipeError)
            self.owner.lost(Outcome.RESET if reset else Outcome.CLOSED)
