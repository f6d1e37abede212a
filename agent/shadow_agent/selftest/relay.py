"""The wire between two places: by a seeded plan it loses, delays, doubles and cuts packets."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from random import Random
from typing import Final, NamedTuple

from shadow_agent.flow.segment import SYN
from shadow_agent.selftest.packets import build, cut, parse
from shadow_agent.selftest.place import Place

_LARGEST: Final = 65536
# Packets read at one go, so that neither direction waits for the other's end.
_BATCH: Final = 64


class Plan(NamedTuple):
    """Shares of packets, 0 to 1, that something happens to."""

    lost: float = 0.02
    delayed: float = 0.05  # later packets overtake it
    doubled: float = 0.03
    cut: float = 0.05  # arrives as two packets
    overlapped: float = 0.03  # arrives as two packets that share some bytes
    delay_s: float = 0.01  # at most

    def fate(self, raw: bytes, random: Random, counts: Counter[str]) -> list[tuple[float, bytes]]:
        """What arrives of one packet: pairs of delay (seconds) and packet."""
        if self._happens(random, counts, "lost"):
            return []
        pieces = [raw]
        packet = parse(raw)
        # a SYN's sequence number is not its payload's
        if packet is not None and len(packet.payload) > 1 and not packet.flags & SYN:
            at = random.randrange(1, len(packet.payload))
            if self._happens(random, counts, "cut"):
                pieces = [build(piece) for piece in cut(packet, at)]
            elif self._happens(random, counts, "overlapped"):
                pieces = [build(piece) for piece in cut(packet, at, random.randint(1, at))]
        if self._happens(random, counts, "doubled"):
            pieces.append(random.choice(pieces))
        return [
            (self.delay_s * random.random() if self._happens(random, counts, "delayed") else 0, one)
            for one in pieces
        ]

    def _happens(self, random: Random, counts: Counter[str], name: str) -> bool:
        if random.random() >= getattr(self, name):
            return False
        counts[name] += 1
        return True


class Relay:
    """Carries packets between two places' devices while its loop runs."""

    def __init__(self, left: Place, right: Place, plan: Plan, seed: int) -> None:
        """Begins to carry; call it in the loop."""
        self.counts: Counter[str] = Counter()
        self._plan = plan
        self._random = Random(seed)  # noqa: S311 - a plan that can be repeated
        self._loop = asyncio.get_running_loop()
        self._ends = (left.tun, right.tun)
        for source, target in (self._ends, self._ends[::-1]):
            self._loop.add_reader(source, self._carry, source, target)

    def close(self) -> None:
        """Carry nothing more; what is delayed is lost."""
        for end in self._ends:
            self._loop.remove_reader(end)
        self._ends = ()  # type: ignore[assignment]

    def _carry(self, source: int, target: int) -> None:
        for _ in range(_BATCH):
            try:
                raw = os.read(source, _LARGEST)
            except BlockingIOError:
                return
            self.counts["packets"] += 1
            for delay, packet in self._plan.fate(raw, self._random, self.counts):
                if delay:
                    self._loop.call_later(delay, self._put, target, packet)
                else:
                    self._put(target, packet)

    def _put(self, target: int, packet: bytes) -> None:
        if target in self._ends:
            # a packet that the kernel does not take (IPv6 off, queue full) is one more lost
            with contextlib.suppress(OSError):
                os.write(target, packet)
