"""The next segment and the one behind it."""

from shadow_agent.flow.segment import Segment
from shadow_agent.offline.lookahead import Lookahead
from tests.property.wire import Wire


def at(ts: int) -> Segment:
    """A segment captured then."""
    return Wire().client(b"x")._replace(ts=ts)


def test_all_come_in_order_and_then_none() -> None:
    """Whatever lies between them."""
    ahead = Lookahead(iter([None, at(1), None, None, at(2), at(3), None]))
    found, turns = [], 0
    while True:
        if not ahead.load():
            turns += 1
            continue
        if ahead.segment is None:
            break
        found.append(ahead.segment.ts)
        ahead.take()
    assert found == [1, 2, 3]
    assert turns == 4
    assert ahead.load()


def test_an_empty_capture() -> None:
    """Has no next one."""
    ahead = Lookahead(iter([]))
    assert ahead.load()
    assert ahead.segment is None


def test_a_stamp_from_the_future_shows_by_what_follows() -> None:
    """The earlier of the two holds."""
    ahead = Lookahead(iter([at(9_000), at(20), at(30)]))
    assert ahead.load()
    assert ahead.segment is not None
    assert ahead.stamp(ahead.segment) == 20
