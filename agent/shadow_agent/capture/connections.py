"""Connections: which end of a TCP connection is the service."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from shadow_agent.flow.classify import starts_request, starts_response
from shadow_agent.flow.segment import ACK, SYN, Direction

# A flow's key, and the direction of what its sender sends.
Side = tuple[bytes, int]

_V4_MAPPED: Final = bytes(10) + b"\xff\xff"
_V4_PAIR: Final = 12  # bytes of two IPv4 addresses and two ports; IPv6: 36


class Connections:
    """Learns it, and remembers it for ``limit`` connections; those idle longest are forgotten.

    With ``ports``, the end on one of them is the service. Where that does not tell, and without
    ports: who sends a SYN is the client; without a SYN, who first sends what begins a request.
    Once payload has shown it, only a new SYN turns it.

    A *pair* is what names a sender: source and destination address, source and destination port,
    as in the packet; 12 bytes for IPv4, 36 for IPv6.

    Attributes:
        sides: pair → Side of what is settled. `learn` may put another dictionary in its place.
        forgotten: connections over the limit.
    """

    def __init__(self, ports: frozenset[int], limit: int) -> None:
        """``ports`` may be empty: any port."""
        self.sides: dict[bytes, Side] = {}
        self.forgotten = 0
        self._limit = max(1, limit)
        self._ports = frozenset(port.to_bytes(2, "big") for port in ports)
        # Two generations instead of an order, which would cost every packet: when `sides` is full
        # it becomes `_older`, and what is used again is copied from there.
        self._older: dict[bytes, Side] = {}
        # Pairs of clients whose SYN was seen, or answered, and no payload yet.
        self._opened: OrderedDict[bytes, None] = OrderedDict()

    def learn(self, pair: bytes, flags: int, payload: bytes) -> Side | None:
        """The side that sent a packet; None: neither is the service, or not known yet."""
        mirror = mirrored(pair)
        if self._ports:
            service, client = pair[-4:-2] in self._ports, pair[-2:] in self._ports
            if not service and not client:
                return None
            if service != client:
                return self._settle(pair, pair if client else mirror)
        settled = self._settled_client(pair, mirror)
        if settled is not None:
            if settled == pair or flags & (SYN | ACK) != SYN:
                return self._settle(pair, settled)
            self._unsettle(pair, mirror)
        known = self._opened_by(pair, mirror, flags)
        if payload:
            if starts_request(payload):
                known = pair
            elif starts_response(payload):
                known = mirror
            if known is not None:
                # whatever it is, payload in the direction that SYNs have shown settles it too
                self._opened.pop(pair, None)
                self._opened.pop(mirror, None)
                return self._settle(pair, known)
        return None if known is None else _side(pair, known)

    def _opened_by(self, pair: bytes, mirror: bytes, flags: int) -> bytes | None:
        """The client as far as SYNs have shown; the first counts when both ends sent one."""
        for known in (pair, mirror):
            if known in self._opened:
                return known
        if not flags & SYN:
            return None
        known = mirror if flags & ACK else pair
        self._opened[known] = None
        if len(self._opened) > self._limit:
            self._opened.popitem(last=False)
            self.forgotten += 1
        return known

    def _settled_client(self, pair: bytes, mirror: bytes) -> bytes | None:
        for known in (pair, mirror):
            side = self.sides.get(known) or self._older.get(known)
            if side is not None:
                towards_service = (known == pair) == (side[1] == Direction.REQUEST)
                return pair if towards_service else mirror
        return None

    def _settle(self, pair: bytes, client: bytes) -> Side:
        if len(self.sides) >= self._limit and pair not in self.sides:
            self.forgotten += sum(known not in self.sides for known in self._older)
            self._older = self.sides
            self.sides = {}
        side = self.sides[pair] = _side(pair, client)
        return side

    def _unsettle(self, pair: bytes, mirror: bytes) -> None:
        for known in (pair, mirror):
            self.sides.pop(known, None)
            self._older.pop(known, None)


def mirrored(pair: bytes) -> bytes:
    """The pair that names the other end of the same connection."""
    half = (len(pair) - 4) // 2
    return pair[half:-4] + pair[:half] + pair[-2:] + pair[-4:-2]


def _side(pair: bytes, client: bytes) -> Side:
    mapped = _V4_MAPPED if len(pair) == _V4_PAIR else b""
    half = (len(client) - 4) // 2
    key = mapped + client[:half] + mapped + client[half:]
    return key, Direction.REQUEST if client == pair else Direction.RESPONSE
