"""The order between a flow's two directions: what waits for what, and when that is given up.

Where acknowledgements prove loss, each direction only waits for its own holes. Where they do not
(`FlowLimits.acks_prove_loss` off), a segment also waits until the other direction has delivered
what it acknowledges, so that a request always comes before its response, however the capture was
shuffled. Whatever is waited for in vain is lost: a Gap of known length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shadow_agent.flow.items import EndKind, Item
from shadow_agent.flow.stream import UNALIGNED

if TYPE_CHECKING:
    from shadow_agent.flow.flow import Flow
    from shadow_agent.flow.stream import Stream

# Later than any time stamp: all that waits is given up.
NOW_OR_NEVER: Final = 1 << 80


def peer(flow: Flow[Any], other: Stream) -> int | None:
    """Where `other` stands, for what waits for it; None when there is nothing to wait for."""
    return None if other.ended or flow.missing == other.direction else other.next_seq


def advance(flow: Flow[Any], items: list[Item], ts: int) -> None:
    """Delivers what has become possible in either direction, each after what it acknowledges."""
    request, response = flow.request, flow.response
    while request.waiting or response.waiting:
        before = len(items)
        request.drain(items, ts, peer(flow, response))
        response.drain(items, ts, peer(flow, request))
        if len(items) != before:
            continue
        if not (_is_blocked(request) and _is_blocked(response)):
            return
        # Each waits for the other: one is a retransmission, whose acknowledgement is younger than
        # its bytes. Requests cause responses.
        request.drain(items, ts, peer(flow, response), forced=True)


def give_up(flow: Flow[Any], items: list[Item], ts: int, until: int, *, causal: bool) -> None:
    """Gives up waiting for what has held back something since `until` or before (ns).

    `causal`: as FlowLimits.acks_prove_loss says.
    """
    request, response = flow.request, flow.response
    while True:
        if not causal:
            advance(flow, items, ts)
        oldest: Stream | None = None
        for stream in (request, response):
            if (
                stream.waiting
                and stream.head.ts <= until
                and (oldest is None or stream.head.ts < oldest.head.ts)
            ):
                oldest = stream
        if oldest is None:
            return
        other = response if oldest is request else request
        hole = oldest.hole()
        if hole > 0 or causal:
            oldest.skip(items, hole, ts, None if causal else peer(flow, other))
            continue
        if other.next_seq == other.first:
            flow.missing = other.direction  # nothing of it was ever seen: one-sided
        if other.next_seq == UNALIGNED:
            oldest.drain(items, ts, None, forced=True)
        else:
            items += other.lose_until(oldest.head.ack, ts, peer(flow, oldest))


def reset(flow: Flow[Any], ts: int, by: int, *, causal: bool) -> list[Item]:
    """Ends both directions; what waited is delivered, its holes will never fill."""
    items: list[Item] = []
    give_up(flow, items, ts, NOW_OR_NEVER, causal=causal)
    items += flow.request.end(EndKind.RST, ts, by)
    items += flow.response.end(EndKind.RST, ts, by)
    return items


def set_plain(flow: Flow[Any]) -> None:
    """Whether each direction may take the fast path: nothing waits, in either."""
    request, response = flow.request, flow.response
    calm = not (request.waiting or response.waiting)
    request.plain = calm and flow.classified and not request.ended
    response.plain = calm and not response.ended


def _is_blocked(stream: Stream) -> bool:
    return stream.waiting and stream.hole() <= 0
