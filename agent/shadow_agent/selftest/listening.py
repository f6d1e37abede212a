"""The tap on a place's device, as production attaches it, and what comes off its ring."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, Self

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import Event, Exchange, Limits, RequestHeadSeen
from shadow_agent.kernel import netlink
from shadow_agent.kernel.attach import Mechanism
from shadow_agent.kernel.layout import Counter, Role
from shadow_agent.kernel.program import Loader
from shadow_agent.kernel.ring import RingReader
from shadow_agent.kernel.tap import Place as TappedPlace
from shadow_agent.kernel.tap import Tap, TapSettings
from shadow_agent.selftest.place import Place
from shadow_agent.telemetry.reasons import Unanswered

RING_BYTES: Final = 8 << 20
# Nobody's: the selftest has no shadow, but the tap wants one to leave out (RFC 5737).
_NO_SHADOW: Final = (IPv4Address("192.0.2.1"), 9)
_EXPIRE_NS: Final = 250_000_000


@dataclass(slots=True)
class Rebuilt:
    """What an assembler made of segments."""

    exchanges: list[Exchange] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    segments: SegmentCounts = field(default_factory=SegmentCounts)
    requests: RequestCounts = field(default_factory=RequestCounts)
    answers: ExchangeCounts = field(default_factory=ExchangeCounts)


def rebuild(segments: Iterable[Segment], limits: FlowLimits = FlowLimits()) -> Rebuilt:  # noqa: B008 - immutable
    """Segments in capture order → exchanges in order of their requests, live limits as default."""
    made = Rebuilt()
    assembler = Assembler(limits, Limits(), made.segments, made.requests, made.answers)
    now = looked = 0
    for segment in segments:
        now = segment.ts
        if now - looked >= _EXPIRE_NS:
            made.events += assembler.expire(now)
            looked = now
        made.events += assembler.push(segment)
    now += limits.hold_ns  # the wire stays quiet: what is missing by then will not come
    made.events += assembler.expire(now)
    made.events += assembler.close(Unanswered.DRAINED, now)
    made.exchanges = [e.exchange for e in made.events if isinstance(e, RequestHeadSeen)]
    return made


class Listener:
    """Context manager: attached to a place's device from entry to exit."""

    def __init__(
        self,
        place: Place,
        ports: tuple[int, ...],
        loader: Loader = Loader.AUTO,
        mechanism: Mechanism = Mechanism.AUTO,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """Loads the programs. Raises LoadError, HostError, OSError."""
        self.segments: list[Segment] = []
        self._place = place
        interface = place.call(netlink.interface, place.device)
        if interface is None:
            raise OSError(f"{place.device}: gone")
        self._tapped = TappedPlace(interface, Role.PRODUCTION)
        settings = TapSettings(
            *("selftest", ports, _NO_SHADOW, False, 1, ring_bytes, 1.0, mechanism)
        )
        self.tap = Tap(loader, settings, [self._tapped])
        self._ring = RingReader(self.tap.ring_fds[0], ring_bytes)

    def __enter__(self) -> Self:
        try:
            self.tap.control.renew_lease(time.monotonic_ns())
            self._place.call(self.tap.attach, self._tapped)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Detach and free everything."""
        self._place.call(self.tap.detach)
        self._ring.close()
        self.tap.close()

    def read(self) -> list[Segment]:
        """Takes what is on the ring, and the heartbeat; what is new of ``segments``."""
        self.tap.control.renew_lease(time.monotonic_ns())
        before = len(self.segments)
        keep = self.segments.append
        while self._ring.consumed < self._ring.produced:
            at = self._ring.consumed
            self._ring.drain(_ignore, _ignore, keep, _ignore, RING_BYTES)
            if self._ring.consumed == at:
                break  # the next record is being written
        return self.segments[before:]

    def counts(self) -> dict[Counter, int]:
        """The tap's own counters."""
        return self.tap.counters.read()[Role.PRODUCTION]

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """Name, run time (ns) and runs of each program; 0 unless statistics are on."""
        for name, info in self.tap.programs().items():
            yield name, info.run_time_ns, info.run_count


def _ignore(_: object) -> None:
    """Nobody else reads this ring, and there is no shadow."""
