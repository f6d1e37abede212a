"""The worker's end of the channel to its supervisor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, cast

import orjson

from shadow_agent.daemon.channel import Unframer, frame
from shadow_agent.daemon.log import offer
from shadow_agent.errors import one_line


class Uplink(asyncio.Protocol):
    """Sends snapshots up, hears commands, and ends the process when the supervisor is gone."""

    def __init__(
        self,
        on_drain: Callable[[], None],
        on_writes: Callable[[bool], None],
        on_change: Callable[[dict[str, Any]], None],
        on_link: Callable[[bool], None],
    ) -> None:
        """Not connected yet.

        ``on_writes`` hears whether writes may go out from now on, ``on_link`` whether the shadow
        interface is up, ``on_change`` what else is to be so: see ``Fleet.change``.
        """
        self._on_link = on_link
        self._on_change = on_change
        self._on_drain = on_drain
        self._on_writes = on_writes
        self._unframer = Unframer()
        self._transport: asyncio.Transport | None = None

    @property
    def pending(self) -> int:
        """Bytes that the supervisor has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, message: bytes) -> None:
        """A snapshot."""
        if self._transport is not None:
            self._transport.write(frame(message))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Called by the event loop: commands are JSON objects."""
        for message in self._unframer.feed(data):
            match orjson.loads(message):
                case {"command": "drain"}:
                    self._on_drain()
                case {"command": "writes", "open": bool(allowed)}:
                    self._on_writes(allowed)
                case {"command": "link", "up": bool(up)}:
                    self._on_link(up)
                case {"command": "change", "settings": dict(settings)}:
                    self._on_change(settings)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: without a supervisor nobody would stop us."""
        del exc
        os._exit(1)


def complain(text: str) -> None:
    """A line on standard error, which is the supervisor's."""
    offer(2, f"shadow-agent: {one_line(text)}\n".encode())
