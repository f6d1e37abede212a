"""Realism: how much the shadow's load is production's, so that a verdict can say what it saw.

Counts by windows of time, which add up over workers: bursts (how uneven arrivals are, and how much
higher the peak is than the mean) and saturation (what is in flight, and how many were answered, at
the peaks and elsewhere). Order: requests that went out in another order than production's.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from shadow_agent.telemetry.check import count, exact_keys, flat_counts

_NS: Final = 1_000_000_000
# Windows that are kept; over it two become one: 17 minutes of seconds, then 34 of two seconds each.
MOST: Final = 1024
_WIDEST: Final = 30  # 2**30 s
# Connections whose last request is remembered, to know the order.
_MAX_CONNECTIONS: Final = 4096
_KEYS: Final = ("scale", "windows", "pairs", "out_of_order")


class Peaks(NamedTuple):
    """Sums over windows that are peaks, or that are not."""

    windows: int
    arrivals: int
    answered: int
    in_flight: float | None  # the mean over windows of the most in each

    def as_dict(self) -> dict[str, Any]:
        """With the share that was answered."""
        share = round(self.answered / self.arrivals, 6) if self.arrivals else None
        return {**self._asdict(), "completion": share}


class Realism:
    """One worker's, or all together after ``merge``."""

    __slots__ = ("_last", "_scale", "_windows", "out_of_order", "pairs")

    def __init__(self) -> None:
        self._scale = 0  # a window is 2**scale seconds
        # by number of the window since the clock's zero: arrivals, answered, most in flight
        self._windows: dict[int, list[int]] = {}
        self._last: dict[bytes, tuple[int, int]] = {}
        self.pairs = 0
        self.out_of_order = 0

    def add(
        self, flow: bytes, started_ns: int, sent_ns: int, in_flight: int, *, answered: bool
    ) -> bool:
        """Count one pair: when production's request began, and when ours went out.

        ``in_flight`` at the shadow when it went out. Returns whether it was out of order: sent
        before one that production sent earlier on its connection, or behind a later one.
        """
        number = started_ns // _NS >> self._scale
        window = self._windows.get(number)
        if window is None:
            window = self._open(started_ns // _NS)
        window[0] += 1
        window[1] += answered
        window[2] = max(window[2], in_flight)
        self.pairs += 1
        last = self._last
        before = last.get(flow)
        if before is None:
            if len(last) >= _MAX_CONNECTIONS:
                del last[next(iter(last))]
            last[flow] = started_ns, sent_ns
            return False
        wrong = (started_ns > before[0] and sent_ns < before[1]) or (
            started_ns < before[0] and sent_ns > before[1]
        )
        if started_ns > before[0]:
            last[flow] = started_ns, sent_ns
        self.out_of_order += wrong
        return wrong

    def forget(self, flow: bytes) -> None:
        """The connection is over."""
        self._last.pop(flow, None)

    def merge(self, other: Realism) -> None:
        """Add another's, in windows of the wider."""
        while self._scale < other._scale:
            self._widen()
        shift = self._scale - other._scale
        for number, window in other._windows.items():
            mine = self._windows.setdefault(number >> shift, [0, 0, 0])
            mine[0] += window[0]
            mine[1] += window[1]
            # workers have requests in flight side by side; windows of one worker do not
            mine[2] = mine[2] + window[2] if shift == 0 else max(mine[2], window[2])
        while len(self._windows) > MOST:
            self._widen()
        self.pairs += other.pairs
        self.out_of_order += other.out_of_order

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for orjson."""
        first = min(self._windows, default=0)
        flat = [
            value
            for number, window in sorted(self._windows.items())
            for value in (number - first, *window)
        ]
        return {
            "scale": self._scale,
            "windows": [first, *flat],
            "pairs": self.pairs,
            "out_of_order": self.out_of_order,
        }

    @classmethod
    def from_dict(cls, data: object, where: str = "realism") -> Realism:
        """What ``as_dict`` described; ValueError names the first thing wrong."""
        given = exact_keys(data, _KEYS, where)
        made = cls()
        made._scale = count(given["scale"], f"{where}.scale", most=_WIDEST)
        flat = flat_counts(given["windows"], MOST * 4 + 1, f"{where}.windows")
        if len(flat) % 4 != 1:
            raise ValueError(f"{where}.windows: not a first number and four for each")
        for at in range(1, len(flat), 4):
            number = flat[0] + flat[at]
            if number in made._windows:
                raise ValueError(f"{where}.windows: one that occurred before")
            made._windows[number] = flat[at + 1 : at + 4]
        made.pairs = count(given["pairs"], f"{where}.pairs")
        made.out_of_order = count(given["out_of_order"], f"{where}.out_of_order")
        return made

    def summary(self) -> dict[str, Any]:
        """What a person asks. Windows without a request count, but for the first and the last.

        ``dispersion``: variance over mean of the arrivals in a window; 1 is what independent
        clients make (Poisson), 0 a metronome, more are bursts.
        """
        arrivals = self._arrivals()
        mean = sum(arrivals) / len(arrivals) if arrivals else 0.0
        dispersion = None
        if len(arrivals) > 1 and mean:
            variance = sum((n - mean) ** 2 for n in arrivals) / (len(arrivals) - 1)
            dispersion = round(variance / mean, 3)
        peak, rest = self._peaks()
        return {
            "pairs": self.pairs,
            "out_of_order": self.out_of_order,
            "window_s": 1 << self._scale,
            "windows": len(arrivals),
            "dispersion": dispersion,
            "peak_over_mean": round(max(arrivals) / mean, 3) if mean else None,
            "peaks": peak.as_dict(),
            "elsewhere": rest.as_dict(),
        }

    def _arrivals(self) -> list[int]:
        """Of each window between the first and the last, which are not whole."""
        if not self._windows:
            return []
        first, last = min(self._windows), max(self._windows)
        inner = [window[0] for number, window in self._windows.items() if first < number < last]
        # long silence is one number, not a list as long
        missing = min(last - first - 1 - len(inner), MOST * 16) if last > first else 0
        return inner + [0] * max(missing, 0)

    def _peaks(self) -> tuple[Peaks, Peaks]:
        """The twentieth of the windows with most arrivals, one at least; and all others."""
        ordered = sorted(self._windows.values(), key=lambda window: -window[0])
        cut = max(len(ordered) // 20, 1)
        return _sum(ordered[:cut]), _sum(ordered[cut:])

    def _open(self, second: int) -> list[int]:
        while len(self._windows) >= MOST and self._scale < _WIDEST:
            self._widen()
        return self._windows.setdefault(second >> self._scale, [0, 0, 0])

    def _widen(self) -> None:
        self._scale += 1
        made: dict[int, list[int]] = {}
        for number, window in self._windows.items():
            there = made.get(number >> 1)
            if there is None:
                made[number >> 1] = window
            else:
                there[0] += window[0]
                there[1] += window[1]
                there[2] = max(there[2], window[2])
        self._windows = made


def _sum(windows: list[list[int]]) -> Peaks:
    return Peaks(
        windows=len(windows),
        arrivals=sum(window[0] for window in windows),
        answered=sum(window[1] for window in windows),
        in_flight=round(sum(w[2] for w in windows) / len(windows), 2) if windows else None,
    )
