"""Fragments: IP datagrams put together again, within limits."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Final, NamedTuple

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.telemetry.reasons import Unsupported

# source and destination, protocol, identification
DatagramKey = tuple[bytes, int, int]

_LONGEST: Final = 65_535  # bytes of a datagram's payload: offsets reach no further


class FragmentLimits(NamedTuple):
    """What may wait for the rest of its datagram. Over a limit the oldest datagrams go."""

    # bytes: 64 of the largest datagrams, what Linux allows too (net.ipv4.ipfrag_high_thresh).
    max_bytes: int = 4 << 20
    # datagrams. Bounds what an attack with empty fragments costs beside the bytes.
    max_datagrams: int = 4096
    # ns of capture time; IPv6 asks for 60 s, Linux gives IPv4 30.
    max_age_ns: int = 60_000_000_000


class Whole(NamedTuple):
    """A datagram's payload, and of how many fragments it was made."""

    payload: bytes
    fragments: int


class _Datagram:
    """The fragments of one datagram that are there."""

    __slots__ = ("bytes", "fragments", "length", "pieces", "since")

    def __init__(self, since: int) -> None:
        self.since = since  # ns, first fragment
        self.pieces: list[tuple[int, bytes]] = []  # offset and bytes, in order, without overlap
        self.bytes = 0
        self.fragments = 0
        self.length: int | None = None  # of the whole, once the last fragment is there

    def add(self, offset: int, piece: bytes, more: bool) -> bool:
        """False when it contradicts what is there; a repeated fragment does not."""
        self.fragments += 1
        end = offset + len(piece)
        at = bisect_left(self.pieces, offset, key=_offset)
        if at < len(self.pieces):
            following, other = self.pieces[at]
            if following == offset and other == piece and piece:
                return more == (self.length != end)
            if following < end or (following == offset and not piece):
                return False
        if at and self.pieces[at - 1][0] + len(self.pieces[at - 1][1]) > offset:
            return False
        if self.length is not None and (end > self.length or not more):
            return False
        if not more:
            if self.pieces and self.pieces[-1][0] + len(self.pieces[-1][1]) > end:
                return False
            self.length = end
        insort(self.pieces, (offset, piece), key=_offset)
        self.bytes += len(piece)
        return True


class Fragments:
    """Takes fragments in, hands whole datagrams out.

    Every fragment is counted as `fragment` when it comes. When its datagram is whole the count is
    taken back, for the caller to count them; when it is discarded they get that reason's name. A
    fragment that contradicts another discards the datagram, as in Linux since 2018 (and RFC 5722):
    nobody can know which bytes the host would have kept.
    """

    def __init__(self, limits: FragmentLimits, counts: PacketCounts) -> None:
        """``counts`` is shared with the decoder."""
        self._limits = limits
        self._counts = counts
        self._datagrams: OrderedDict[DatagramKey, _Datagram] = OrderedDict()
        self._bytes = 0

    def add(self, key: DatagramKey, ts: int, offset: int, piece: bytes, more: bool) -> Whole | None:
        """The whole datagram when this was its last missing fragment; ``ts`` in ns."""
        self._counts.count_unsupported(Unsupported.FRAGMENT)
        self._expire(ts)
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._datagrams[key] = _Datagram(ts)
        before = datagram.bytes
        # every fragment but the last is a multiple of eight bytes long
        fits = offset + len(piece) <= _LONGEST and not (more and (len(piece) & 7 or not piece))
        if not datagram.add(offset, piece, more) or not fits:
            self._bytes -= before
            self._recount(self._datagrams.pop(key), Unsupported.FRAGMENT_OVERLAP)
            return None
        self._bytes += datagram.bytes - before
        if datagram.bytes == datagram.length:
            del self._datagrams[key]
            self._bytes -= datagram.bytes
            self._counts.count_unsupported(Unsupported.FRAGMENT, -datagram.fragments)
            return Whole(b"".join(piece for _, piece in datagram.pieces), datagram.fragments)
        self._shrink()
        return None

    def _expire(self, ts: int) -> None:
        """Forgets what is too old; it stays counted as `fragment`."""
        while self._datagrams:
            key, oldest = next(iter(self._datagrams.items()))
            if ts - oldest.since <= self._limits.max_age_ns:
                return
            del self._datagrams[key]
            self._bytes -= oldest.bytes

    def _shrink(self) -> None:
        limits = self._limits
        while self._bytes > limits.max_bytes or len(self._datagrams) > limits.max_datagrams:
            _, oldest = self._datagrams.popitem(last=False)
            self._bytes -= oldest.bytes
            self._recount(oldest, Unsupported.FRAGMENT_EVICTED)

    def _recount(self, datagram: _Datagram, reason: Unsupported) -> None:
        self._counts.count_unsupported(Unsupported.FRAGMENT, -datagram.fragments)
        self._counts.count_unsupported(reason, datagram.fragments)


def _offset(piece: tuple[int, bytes]) -> int:
    return piece[0]
