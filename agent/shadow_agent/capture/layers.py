"""Packet, and the tables that say which layer follows which number."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from shadow_agent.telemetry.reasons import Unsupported

if TYPE_CHECKING:
    from shadow_agent.capture.fragments import Fragments


# Steps of a loop within one layer: labels, tags, attributes. Real stacks have a handful; without
# a limit a small frame inside a large one could walk over all of it, again and again.
MAX_STEPS: Final = 64


class Outcome(Enum):
    """How a walk through the layers ends well."""

    TCP = "the packet stands at a TCP header"
    OTHER = "no TCP in it"
    HELD = "a fragment, kept until its datagram is whole; counted there"
    SPLIT = "several packets, in `parts`"


class Packet:
    """One frame on its way through the layers.

    A layer reads its header at ``at`` and moves ``at`` past it. It need not look whether the
    header is all there: reading past the bytes raises, and the walk counts it as truncated.
    """

    __slots__ = (
        "addresses",
        "at",
        "data",
        "end",
        "fragments",
        "is_part",
        "joined",
        "nesting",
        "parts",
        "ts",
    )

    def __init__(self, ts: int, data: bytes, end: int, fragments: Fragments) -> None:
        self.ts = ts  # ns
        self.data = data
        self.at = 0  # where the next header starts
        self.end = end  # where this layer ends on the wire; may lie beyond the data
        self.addresses = b""  # source and destination, of the innermost IP header so far
        self.nesting = 0  # IP headers so far
        self.joined = 0  # fragments whose bytes are in here, beside the frame itself
        self.is_part = False  # one of another's parts
        # of an 802.11 frame that carries several packets
        self.parts: list[tuple[Packet, Layer]] = []
        self.fragments = fragments


# A layer moves the packet past its header and returns what follows.
Layer = Callable[[Packet], "Layer | Outcome | Unsupported"]
Next = Layer | Outcome | Unsupported

# Each module registers its layers here. What is in no table is another protocol: Outcome.OTHER.
LINKS: Final[dict[int, Next]] = {}  # by LINKTYPE
ETHERTYPES: Final[dict[int, Next]] = {}
PROTOCOLS: Final[dict[int, Next]] = {}  # by IP protocol
UDP_PORTS: Final[dict[int, Next]] = {}
PPP: Final[dict[int, Next]] = {}  # by PPP protocol


def layer(table: dict[int, Next], *numbers: int) -> Callable[[Layer], Layer]:
    """Puts the decorated layer into a table under these numbers."""

    def put(function: Layer) -> Layer:
        for number in numbers:
            table[number] = function
        return function

    return put


def follow(table: dict[int, Next], number: int) -> Next:
    """The layer of a number."""
    return table.get(number, Outcome.OTHER)


def u16(packet: Packet, at: int) -> int:
    """Two bytes, big-endian. Raises IndexError beyond the data."""
    return packet.data[at] << 8 | packet.data[at + 1]


def ip_by_version(packet: Packet) -> Next:
    """IPv4 or IPv6, whichever the first four bits say."""
    return follow(ETHERTYPES, {4: 0x0800, 6: 0x86DD}.get(packet.data[packet.at] >> 4, -1))
