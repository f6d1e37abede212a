"""The PROXY protocol's preamble, versions 1 and 2 (haproxy's proxy-protocol.txt)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, NamedTuple

from shadow_agent.flow.classify import PROXY_V1, PROXY_V2, classify, is_preamble
from shadow_agent.flow.sequence import add
from shadow_agent.telemetry.reasons import NotHttp

if TYPE_CHECKING:
    from shadow_agent.flow.items import Data, End, Gap, Skip
    from shadow_agent.http.pairing import Pairing
    from shadow_agent.http.requests import RequestStream

MAX_V1: Final = 107  # bytes, the specification's own limit
MAX_V2: Final = 4096  # bytes, all of it: nginx's limit
_V2_HEADER: Final = 16
_FAMILIES: Final[dict[bytes, type[IPv4Address | IPv6Address]]] = {
    b"TCP4": IPv4Address,
    b"TCP6": IPv6Address,
}
_V4_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
# How long the addresses are that follow a version 2 header, by family and transport.
_V2_LENGTHS: Final = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}


class Origin(NamedTuple):
    """What a preamble says; every exchange of its flow shares one."""

    raw: bytes  # as captured
    address: bytes | None  # the client's, 16 bytes; None: LOCAL, UNKNOWN or a UNIX socket
    port: int


class NoPreamble(ValueError):
    """The bytes cannot be, or become, a preamble."""


def read_preamble(data: bytes) -> Origin | None:
    """Parses the preamble that `data` begins with; None while it is incomplete.

    Raises NoPreamble.
    """
    if data[:12] == PROXY_V2[: len(data)]:
        return _read_v2(data)
    if data[:6] == PROXY_V1[: len(data)]:
        return _read_v1(data)
    raise NoPreamble("no signature")


def _read_v1(data: bytes) -> Origin | None:
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise NoPreamble("version 1 line too long")
        return None
    raw = data[: end + 2]
    words = raw[:-2].split(b" ")
    if words[1] == b"UNKNOWN":
        return Origin(raw, None, 0)
    try:
        _, family, source, target, source_port, target_port = words
        make = _FAMILIES[family]
        address, _ = make(source.decode("ascii")), make(target.decode("ascii"))
        port, _ = _port(source_port), _port(target_port)
    except (KeyError, ValueError) as error:
        raise NoPreamble("version 1 line malformed") from error
    return Origin(raw, _sixteen(address.packed), port)


def _port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 0xFFFF:
        raise ValueError(text)
    return int(text)


def _read_v2(data: bytes) -> Origin | None:
    if len(data) < _V2_HEADER:
        return None
    command, family = data[12], data[13]
    end = _V2_HEADER + int.from_bytes(data[14:16], "big")
    if command not in (0x20, 0x21) or end > MAX_V2:
        raise NoPreamble("version 2 header malformed")
    if len(data) < end:
        return None
    raw = data[:end]
    if command == 0x20 or family == 0:  # LOCAL, or nothing is said
        return Origin(raw, None, 0)
    needed = _V2_LENGTHS.get(family)
    if needed is None or end < _V2_HEADER + needed:
        raise NoPreamble("version 2 addresses malformed")
    size = {0x11: 4, 0x21: 16}.get(family)
    if size is None:
        return Origin(raw, None, 0)  # UNIX, or a datagram's
    at = _V2_HEADER + 2 * size
    source = raw[_V2_HEADER : _V2_HEADER + size]
    return Origin(raw, _sixteen(source), int.from_bytes(raw[at : at + 2], "big"))


def _sixteen(packed: bytes) -> bytes:
    return packed if len(packed) == 16 else _V4_MAPPED + packed


class PreambleStream:
    """Stands before a flow's RequestStream and reads the preamble, however it is cut.

    What follows it is classified anew: TLS, HTTP/2 or HTTP/1.
    """

    __slots__ = ("_first", "_head", "_pairing", "_passing", "_requests")

    def __init__(self, requests: RequestStream, pairing: Pairing) -> None:
        """Nothing was seen yet; what follows the preamble goes to `requests`."""
        self._requests = requests
        self._pairing = pairing
        self._head = b""  # an unfinished preamble
        self._first: Data | None = None  # where it began
        self._passing = False  # there is nothing to do here any more

    def data(self, item: Data) -> None:
        """Takes the next bytes."""
        if self._passing:
            self._requests.data(item)
            return
        pairing = self._pairing
        if pairing.origin is None:
            before = len(self._head)
            # Bounded: what is complete or hopeless leaves, at MAX_V2 bytes at the latest.
            data = self._head + item.payload
            if not is_preamble(data):  # it only began like one: POST, an empty line
                self._pass(item.ts)
                self._requests.data(item)
                return
            try:
                pairing.origin = read_preamble(data)
            except NoPreamble:
                pairing.hand_over(NotHttp.OTHER)
                return
            if pairing.origin is None:
                if self._first is None:
                    self._first = item
                self._keep(data, item.ts)
                return
            self._keep(b"", item.ts)
            used = len(pairing.origin.raw) - before
            item = item._replace(payload=item.payload[used:], seq=add(item.seq, used))
        if item.payload:
            self._passing = True
            kind = classify(item.payload)
            if kind is None:
                self._requests.data(item)
            else:
                pairing.hand_over(kind)

    def gap(self, item: Gap) -> None:
        """Bytes are missing: who the client is will not be known."""
        self._pass(item.ts)
        self._requests.gap(item)

    def skip(self, item: Skip) -> None:
        """Bytes were left out on purpose."""
        self._pass(item.ts)
        self._requests.skip(item)

    def end(self, item: End) -> None:
        """Nothing follows."""
        self._pass(item.ts)
        self._requests.end(item)

    def stop(self) -> None:
        """What follows is not HTTP/1."""
        self._keep(b"", 0)
        self._passing = True
        self._requests.stop()

    def give_up_head(self) -> None:
        """It takes too long, or there are too many of its kind."""
        if self._passing:
            self._requests.give_up_head()
        elif self._head:
            self._pairing.hand_over(NotHttp.OTHER)

    def _pass(self, ts: int) -> None:
        """What has come goes on as it is."""
        head, self._passing = self._head, True
        self._keep(b"", ts)
        if head and self._first is not None:
            self._requests.data(self._first._replace(payload=head))

    def _keep(self, head: bytes, ts: int) -> None:
        self._pairing.budget.hold_head(self._pairing, len(self._head), len(head), ts)
        self._head = head
