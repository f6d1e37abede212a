"""The range of load that a comparison has seen, against what production had.

The kernel counts what it does not copy, so production's load is known also while nothing is
mirrored: as packets a second of the service. How many packets a request takes is learned from
what was copied, which turns them into requests a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import floor, log10
from typing import Any, Final, NamedTuple

__all__ = ["LoadRange", "Totals", "describe_load"]

# Buckets are a tenth of a decade wide (a factor of 1.26), from 0.1 to 10 million packets a second.
_PER_DECADE: Final = 10
_LEAST: Final = -1 * _PER_DECADE
_MOST: Final = 7 * _PER_DECADE
# Below this share of its packets a load counts as not seen: stragglers of a look elsewhere.
_SEEN: Final = 0.01
# Between this and all of it, the text says how much.
_WHOLE: Final = 0.99


class Totals(NamedTuple):
    """Since the run began."""

    packets: int  # of the service, with payload: copied or not
    copied: int
    requests: int  # started, in what was copied
    compared: int


_NOTHING: Final = Totals(0, 0, 0, 0)


@dataclass(slots=True)
class _Bucket:
    seconds: float = 0.0
    packets: int = 0
    copied: int = 0
    compared: int = 0
    least: float = float("inf")  # packets a second
    most: float = 0.0

    @property
    def seen(self) -> bool:
        return self.compared > 0 and self.copied >= self.packets * _SEEN


@dataclass(slots=True)
class LoadRange:
    """Windows of a run by production's load in them; at most 81 buckets whatever comes."""

    _buckets: dict[int, _Bucket] = field(default_factory=dict)
    _idle_s: float = 0.0
    _before: Totals = _NOTHING

    def window(self, seconds: float, totals: Totals) -> None:
        """The ``seconds`` since the window before have brought it to these totals.

        A comparison counts in the window in which it was made, which may be the one after its
        packets'.
        """
        if seconds <= 0:
            return
        before, self._before = self._before, totals
        packets = max(totals.packets - before.packets, 0)
        if not packets:
            self._idle_s += seconds
            return
        rate = packets / seconds
        index = min(max(floor(log10(rate) * _PER_DECADE), _LEAST), _MOST)
        bucket = self._buckets.setdefault(index, _Bucket())
        bucket.seconds += seconds
        bucket.packets += packets
        bucket.copied += max(totals.copied - before.copied, 0)
        bucket.compared += max(totals.compared - before.compared, 0)
        bucket.least = min(bucket.least, rate)
        bucket.most = max(bucket.most, rate)

    def as_dict(self) -> dict[str, Any]:
        """Ready for orjson.

        ``unit`` is ``requests/s`` (then converted by ``packets_per_request``), or ``packets/s``
        while no request was seen. ``production`` and ``compared`` are the least and the most load
        of a window, null when there was none; ``blind_above``: the load above which nothing was
        compared, null when the highest load was. Each bucket: ``from`` and ``to`` (load),
        ``seconds``, ``packets``, ``share`` of the packets that was copied, ``compared`` pairs.
        """
        last = self._before
        per = last.copied / last.requests if last.requests and last.copied else None
        rows = [self._buckets[index] for index in sorted(self._buckets)]
        seen = [row for row in rows if row.seen]
        blind = rows and (not seen or rows[-1] is not seen[-1])
        return {
            "unit": "packets/s" if per is None else "requests/s",
            "packets_per_request": None if per is None else round(per, 2),
            "production": _span(rows, per),
            "compared": _span(seen, per),
            "blind_above": (_load(seen[-1].most if seen else 0.0, per) if blind else None),
            "idle_s": round(self._idle_s, 1),
            "buckets": [
                {
                    "from": _load(row.least, per),
                    "to": _load(row.most, per),
                    "seconds": round(row.seconds, 1),
                    "packets": row.packets,
                    "share": round(min(row.copied / row.packets, 1.0), 4),
                    "compared": row.compared,
                }
                for row in rows
            ],
        }


def describe_load(load: dict[str, Any]) -> Iterator[str]:
    """The sentences of the text summary; none when production was not asked at all."""
    production, compared = load["production"], load["compared"]
    if production is None:
        return
    unit = load["unit"].replace("requests", "req")
    if compared is None:
        yield f"production had up to {production['most']:,.0f} {unit}; nothing was compared"
        return
    text = (
        f"the comparison saw {_range(compared)} {unit}; "
        f"production had up to {production['most']:,.0f}"
    )
    if load["blind_above"] is not None:
        yield f"{text}; above {load['blind_above']:,.0f} nothing was compared"
        return
    yield text
    thin = [row for row in load["buckets"] if row["to"] >= production["most"]][-1]
    if thin["share"] < _WHOLE:
        yield f"at that peak {thin['share']:.0%} was mirrored"


def _range(span: dict[str, float]) -> str:
    least, most = f"{span['least']:,.0f}", f"{span['most']:,.0f}"
    return least if least == most else f"{least}–{most}"


def _span(rows: list[_Bucket], per: float | None) -> dict[str, float] | None:
    if not rows:
        return None
    least, most = min(row.least for row in rows), max(row.most for row in rows)
    return {"least": _load(least, per), "most": _load(most, per)}


def _load(rate: float, per: float | None) -> float:
    return round(rate / (per or 1.0), 1)
