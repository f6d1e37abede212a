"""A TCP connection through one entry that sees both directions, and a budget set by hand."""

from __future__ import annotations

import socket
import struct
import time

from shadow_agent.flow.segment import ACK, FIN, PSH, RST, SYN
from shadow_agent.kernel.layout import (
    NUMBER_EPOCH_SHIFT,
    NUMBER_TENANCY_SHIFT,
    ControlField,
    Counter,
)
from tests.kernel.conftest import SERVICE, Captured, Outcome, Tap

ENTRY = "tap_loopback"
GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
COPIED = {Counter.COPIED: 1}
SKIPPED = {Counter.OVER_BUDGET: 1}

_MASK = 0xFFFF_FFFF
_CLIENT, _SERVER = socket.inet_aton("8.0.0.7"), socket.inet_aton("8.0.0.2")


class Talk:
    """Both ends of a connection; each call is one packet through the tap."""

    def __init__(
        self, tap: Tap, port: int = 40001, client: int = 0xFFFF_FFC0, server: int = 0xFFFF_FFE0
    ) -> None:
        """The sequence numbers are those of the next bytes; by default both wrap soon."""
        self.tap = tap
        self.port = port
        self.next = [client, server]

    def frame(
        self, direction: int, payload: bytes, flags: int = ACK | PSH, *, seq: int, ack: int
    ) -> bytes:
        """An Ethernet frame at a place of its own."""
        ends = [(_CLIENT, self.port), (_SERVER, SERVICE)]
        (source, sport), (target, dport) = ends[:: 1 - 2 * direction]
        tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 0xFFFF, 0, 0)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 1, 0, 64, 6, 0) + source + target
        return bytes(12) + b"\x08\x00" + ip + tcp + payload

    def send(
        self,
        direction: int,
        payload: bytes = b"",
        flags: int = ACK | PSH,
        *,
        back: int = 0,
        ack: int | None = None,
    ) -> Outcome:
        """The next packet, or one that starts `back` bytes before; by default it has all bytes."""
        seq = (self.next[direction] - back) & _MASK
        said = self.next[1 - direction] if ack is None else ack
        end = seq + len(payload) + bool(flags & SYN) + bool(flags & FIN)
        if (end - self.next[direction]) & _MASK < 1 << 31:
            self.next[direction] = end & _MASK
        return self.tap.run(ENTRY, self.frame(direction, payload, flags, seq=seq, ack=said))

    def client(self, payload: bytes, flags: int = ACK | PSH, **place: int) -> Outcome:
        """Towards the service."""
        return self.send(0, payload, flags, **place)

    def server(self, payload: bytes, flags: int = ACK | PSH, **place: int) -> Outcome:
        """From it."""
        return self.send(1, payload, flags, **place)

    def open(self) -> list[Outcome]:
        """SYN and SYN+ACK."""
        return [self.send(0, b"", SYN, ack=0), self.send(1, b"", SYN | ACK)]

    def exchange(self, number: int = 1) -> list[Outcome]:
        """A request and its response."""
        return [self.client(GET % number), self.server(OK)]

    def finish(self, direction: int, payload: bytes = b"") -> Outcome:
        """A FIN, with the last bytes."""
        return self.send(direction, payload, FIN | ACK)

    def reset(self, direction: int) -> Outcome:
        """A RST."""
        return self.send(direction, b"", RST | ACK)


def limit(tap: Tap, *, room: bool = True) -> None:
    """A budget on, with room for one more decision, or spent for a long time."""
    tap.control.set_byte_budget(1, 1)
    if not room:
        spend(tap)


def spend(tap: Tap) -> None:
    """The budget is spent for the next years."""
    tap.control._put("Q", ControlField.BUDGET_UNTIL_NS, time.monotonic_ns() + 10**17)


def debt_ns(tap: Tap) -> int:
    """Until when the budget is spent, CLOCK_MONOTONIC."""
    return tap.control._get("Q", ControlField.BUDGET_UNTIL_NS)


def counted(outcomes: list[Outcome]) -> list[dict[Counter, int]]:
    """What became of each."""
    return [outcome.counted for outcome in outcomes]


def number(record: Captured) -> int:
    """The count in a record's number."""
    return record.number & 0xFFFF


def epoch(record: Captured) -> int:
    """How often its flow was left."""
    return record.number >> NUMBER_EPOCH_SHIFT & 0x7F


def tenancy(record: Captured) -> int:
    """When its flow got its slot."""
    return record.number >> NUMBER_TENANCY_SHIFT
