"""Feeds a reader whole, byte by byte, and in halves: what it says must not hang on the cuts."""

from __future__ import annotations

from collections.abc import Callable

from shadow_agent.calls.call import Call
from shadow_agent.calls.reader import Reads


def calls_of(make: Callable[[], Reads], data: bytes) -> list[Call]:
    """Every call, the cut one at the end included; the same for every way of cutting."""
    found = []
    for size in (len(data), 1, max(len(data) // 2, 1)):
        reader = make()
        calls = []
        for at in range(0, len(data), max(size, 1)):
            calls += reader.feed(data[at : at + size])
        found.append(calls + reader.end())
    assert found[0] == found[1] == found[2]
    return found[0]
