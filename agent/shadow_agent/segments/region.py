"""Region: where a request came from, by a table of networks; the longest prefix wins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

NONE: Final = "none"
# Both families in one order: IPv4 is mapped, as in a flow's key.
_V4: Final = 0xFFFF << 32
_ALL: Final = 1 << 128
MAX_NETWORKS: Final = 200_000


class Networks:
    """Which region a client's address is in, in the time of one binary search.

    Networks are made into ranges that do not overlap, once: `ipaddress` takes some µs for each
    network it is asked about.
    """

    __slots__ = ("_names", "_starts")

    def __init__(self, table: Iterable[tuple[str, str]]) -> None:
        """``(network, region)``. Raises ValueError with what is wrong and the fix."""
        spans: dict[tuple[int, int], tuple[str, str]] = {}
        for written, region in table:
            span = _span(written)
            if span in spans:
                before = spans[span][0]
                raise ValueError(f"{written!r} is {before!r} again; give each network once")
            if len(spans) >= MAX_NETWORKS:
                raise ValueError(f"more than {MAX_NETWORKS} networks; give wider ones")
            spans[span] = written, region
        starts, names = [0], [NONE]
        open_: list[tuple[int, str]] = [(_ALL, NONE)]  # ends and names of what we are inside of

        def begin(at: int, name: str) -> None:
            if starts[-1] == at:
                names[-1] = name
            else:
                starts.append(at)
                names.append(name)

        # an outer network before those inside of it
        for first, minus_end in sorted((start, -end) for start, end in spans):
            end = -minus_end
            while open_[-1][0] <= first:
                closed, _ = open_.pop()
                begin(closed, open_[-1][1])
            region = spans[first, end][1]
            begin(first, region)
            open_.append((end, region))
        while len(open_) > 1:
            closed, _ = open_.pop()
            begin(closed, open_[-1][1])
        self._starts, self._names = starts, names

    def find(self, address: bytes) -> str:
        """The region of an address of 16 bytes, or `none`."""
        return self._names[bisect_right(self._starts, int.from_bytes(address, "big")) - 1]


def _span(written: str) -> tuple[int, int]:
    """The first address, and the one behind the last."""
    try:
        network: IPv4Network | IPv6Network = ip_network(written)
    except ValueError as error:
        raise ValueError(f"{written!r} is no network: {error}; write 192.0.2.0/24") from error
    first, size = int(network.network_address), network.num_addresses
    if isinstance(network, IPv4Network):
        first += _V4
    return first, first + size
