"""Frames of TCP connections that say what redacted messages say.

Redaction changes lengths, so the frames are made anew: a handshake where a flow first appears, each
message in segments of the size of Ethernet's, acknowledged by the message behind it, and a FIN from
either side where the flow ends. Addresses and ports are production's; sequence numbers start where
a clock stands, as a kernel's do, so that what begins anew on the same ports (they were used again,
or another worker took over) is no retransmission; times are those of the messages' first and last
bytes. Checksums are right.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import dpkt

# Bytes of payload in a segment, as Ethernet carries them.
MSS: Final = 1440
# Flows remembered. Over it the one used longest ago is forgotten; it would begin anew.
MAX_FLOWS: Final = 65_536
_V4: Final = bytes(10) + b"\xff\xff"
# Locally administered addresses that nobody has.
_CLIENT: Final = b"\x02\x00\x00\x00\x00\x01"
_SERVICE: Final = b"\x02\x00\x00\x00\x00\x02"
# A step of sequence numbers' start: 256 ns.
_CLOCK_BITS: Final = 8
_SYN, _ACK, _PUSH, _FIN = dpkt.tcp.TH_SYN, dpkt.tcp.TH_ACK, dpkt.tcp.TH_PUSH, dpkt.tcp.TH_FIN

Frame = tuple[int, bytes]  # ns, bytes


class _Flow:
    __slots__ = ("at", "next")

    def __init__(self, began: int) -> None:
        start = (began >> _CLOCK_BITS) & 0xFFFF_FFFF
        self.next = [start, start]  # sequence number of the client's and the service's next byte
        self.at = 0  # ns; a flow's frames do not go back in time


class Frames:
    """Remembers where each flow is."""

    def __init__(self, max_flows: int = MAX_FLOWS) -> None:
        """No flow yet."""
        self._flows: OrderedDict[bytes, _Flow] = OrderedDict()
        self._max = max_flows

    def message(
        self, key: bytes, first: int, last: int, data: bytes, *, answer: bool
    ) -> list[Frame]:
        """Of one message of a flow (36 bytes, see Segment), from ``first`` to ``last`` ns."""
        flow = self._flows.get(key)
        frames: list[Frame] = []
        if flow is None:
            flow = self._flows[key] = _Flow(first)
            if len(self._flows) > self._max:
                self._flows.popitem(last=False)
            frames += [
                self._frame(key, flow, first, _SYN, b"", answer=False),
                self._frame(key, flow, first, _SYN | _ACK, b"", answer=True),
                self._frame(key, flow, first, _ACK, b"", answer=False),
            ]
        self._flows.move_to_end(key)
        pieces = [data[at : at + MSS] for at in range(0, len(data), MSS)]
        for number, piece in enumerate(pieces, start=1):
            is_last = number == len(pieces)
            at = last if is_last and number > 1 else first
            flags = _ACK | (_PUSH if is_last else 0)
            frames.append(self._frame(key, flow, at, flags, piece, answer=answer))
        return frames

    def end(self, key: bytes) -> list[Frame]:
        """The flow is over; nothing if none of it was written."""
        flow = self._flows.pop(key, None)
        if flow is None:
            return []
        return [
            self._frame(key, flow, flow.at, _FIN | _ACK, b"", answer=False),
            self._frame(key, flow, flow.at, _FIN | _ACK, b"", answer=True),
            self._frame(key, flow, flow.at, _ACK, b"", answer=False),
        ]

    def _frame(
        self, key: bytes, flow: _Flow, at: int, flags: int, data: bytes, *, answer: bool
    ) -> Frame:
        mine, theirs = int(answer), int(not answer)
        ends = (key[:16], key[32:34]), (key[16:32], key[34:36])
        (source, sport), (target, dport) = ends[mine], ends[theirs]
        segment = dpkt.tcp.TCP(
            sport=int.from_bytes(sport, "big"),
            dport=int.from_bytes(dport, "big"),
            seq=flow.next[mine],
            ack=flow.next[theirs] if flags & _ACK else 0,
            flags=flags,
            win=65_535,
            data=data,
        )
        flow.next[mine] = (flow.next[mine] + len(data) + bool(flags & (_SYN | _FIN))) & 0xFFFF_FFFF
        flow.at = max(flow.at, at)
        macs = (_SERVICE, _CLIENT) if answer else (_CLIENT, _SERVICE)
        if source[:12] == _V4 and target[:12] == _V4:
            packet = dpkt.ip.IP(src=source[12:], dst=target[12:], p=dpkt.ip.IP_PROTO_TCP, ttl=64)
            packet.data = segment
            packet.len = 20 + len(segment)
            kind = dpkt.ethernet.ETH_TYPE_IP
        else:
            packet = dpkt.ip6.IP6(src=source, dst=target, nxt=dpkt.ip.IP_PROTO_TCP, hlim=64)
            packet.data = segment
            packet.plen = len(segment)
            packet.extension_hdrs = {}
            packet.all_extension_headers = []
            kind = dpkt.ethernet.ETH_TYPE_IP6
        frame = dpkt.ethernet.Ethernet(src=macs[0], dst=macs[1], type=kind, data=packet)
        return flow.at, bytes(frame)
