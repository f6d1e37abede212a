"""The tap times itself: one packet in 61."""

from __future__ import annotations

import os

from shadow_agent.kernel.layout import Counter, Role
from tests.kernel import frames
from tests.kernel.conftest import MakeTap
from tests.kernel.frames import GET, WAYS, frame, ip, tcp

_EVERY = 61


def test_one_packet_in_61_is_timed(make_tap: MakeTap) -> None:
    """Not the first, which runs from a cold cache; the shadow's side by itself."""
    way = WAYS[0]
    tap = make_tap(way.entry)
    packet = frame(ip(frames.ends_of(way, 4)) / tcp(frames.ends_of(way, 4), GET), l3=way.l3)
    timed_after = []
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # it counts by processor
    try:
        for number in range(1, 3 * _EVERY + 2):
            before = tap.counters.read()[Role.PRODUCTION][Counter.TIMED]
            tap.run(way.entry, packet)
            if tap.counters.read()[Role.PRODUCTION][Counter.TIMED] > before:
                timed_after.append(number)
    finally:
        os.sched_setaffinity(0, allowed)
    assert timed_after == [_EVERY + 1, 2 * _EVERY + 1, 3 * _EVERY + 1]
    counts = tap.counters.read()
    assert 0 < counts[Role.PRODUCTION][Counter.TIMED_NS] < 3_000_000_000
    assert counts[Role.SHADOW][Counter.TIMED] == counts[Role.SHADOW][Counter.TIMED_NS] == 0
