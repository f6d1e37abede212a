"""Real decisions of the kernel, read by the rooms behind the ring: whole or absent, never a gap."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_agent.flow.segment import ACK, FIN, PSH, SYN
from shadow_agent.kernel.layout import Counter
from shadow_agent.telemetry.reasons import Unanswered
from tests.kernel.conftest import PAGE, MakeTap, Outcome, Tap
from tests.kernel.talk import ENTRY, Talk, limit, spend
from tests.property.test_conversations import CUTS, TURNS, Turn, check_truth
from tests.property.wire import assembler, begun, check_balance, ended

# Before each packet the budget may become spent or have room again.
MOODS = st.sampled_from([None, None, None, True, False])
STARTS = st.sampled_from([1_000, 0xFFFF_FFF0, 0x7FFF_FFF0])


def packets(turns: list[Turn], cut: int, batch: int) -> list[tuple[int, bytes]]:
    """Direction and payload of each; `batch` requests at a time, in one segment if they fit."""
    found = []
    for first in range(0, len(turns), batch):
        numbers = range(first, min(first + batch, len(turns)))
        asked = b"".join(turns[number].request(number) for number in numbers)
        told = b"".join(turns[number].response(number) for number in numbers)
        for direction, data in ((0, asked), (1, told)):
            size = max(cut, len(asked)) if batch > 1 and not direction else cut
            found += [(direction, data[at : at + size]) for at in range(0, len(data), size)]
    return found


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TURNS, CUTS, STARTS, st.booleans(), st.integers(1, 3), st.data())
def _check_whole(
    make: list[Tap], turns: list[Turn], cut: int, start: int, opened: bool, batch: int,
    data: st.DataObject,
) -> None:  # fmt: skip
    (tap,) = make
    tap.control.renew_lease(1 << 62)
    port = data.draw(st.integers(1024, 65535), label="port")
    talk = Talk(tap, port, client=start, server=start + 5)
    target = assembler()
    events = []
    limit(tap)
    tap.control.set_byte_budget(1, 1 << 40)

    def feed(outcome: Outcome) -> None:
        for record in outcome.records:
            (segment,) = record.segments()
            assert record.number
            events.extend(target.follow(segment, record.number))
            check_balance(target)

    def mood() -> None:
        room = data.draw(MOODS)
        if room is True:
            tap.control.set_byte_budget(1, 1 << 40)
        elif room is False:
            spend(tap)

    cut = cut + 20  # a request line in one segment, as every client sends it
    if opened:
        mood()
        for outcome in talk.open():
            feed(outcome)
    requests = []
    # Joined in mid-connection, a pipelining client's answers cannot be told apart.
    for direction, payload in packets(turns, cut, batch if opened else 1):
        mood()
        outcome = talk.send(direction, payload, ACK | PSH)
        feed(outcome)
        if not direction and outcome.counted == {Counter.COPIED: 1}:
            requests += [n for n in range(len(turns)) if b" /%d " % n in payload.split(b"evil")[0]]
    for direction in (0, 1):
        feed(talk.send(direction, b"", FIN | ACK))
    events += target.close(Unanswered.DRAINED, 1 << 62)
    check_balance(target)
    told = begun(events)
    assert len(ended(events)) == len(told)
    for exchange in told:
        check_truth(exchange, turns)
        assert exchange.answered
        assert exchange.request_body_len is not None
        assert exchange.response_body_len is not None
        assert not exchange.notes
    counts = target.requests
    assert counts.started == counts.heads == counts.complete == len(told)
    assert counts.unexplained_gaps == 0
    numbers = [int(exchange.target[1:]) for exchange in told]
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= set(requests)


def test_whole_or_absent(make_tap: MakeTap) -> None:
    """Whatever is skipped and when, what begins is whole, and nothing is lost."""
    tap = make_tap(ENTRY)
    tap.configure(lease_max_ns=1 << 62)
    _check_whole([tap])


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TURNS, CUTS, STARTS, st.booleans(), st.data())
def _check_named(
    make: list[Tap], turns: list[Turn], cut: int, start: int, opened: bool, data: st.DataObject
) -> None:
    (tap,) = make
    port = data.draw(st.integers(1024, 65535), label="port")
    talk = Talk(tap, port, client=start, server=start + 5)
    target = assembler()
    events = []
    tap.control.set_byte_budget(1, 1 << 40)
    before = tap.counts()
    lost: list[int] = []
    sent = [(0, b"", SYN), (1, b"", SYN | ACK)] if opened else []
    sent += [(way, payload, ACK | PSH) for way, payload in packets(turns, cut + 20, 1)]
    copied: list[int] = []
    for way, payload, flags in sent:
        room = data.draw(MOODS)
        if room is True:
            tap.control.set_byte_budget(1, 1 << 40)
        elif room is False:
            spend(tap)
        outcome = talk.send(way, payload, flags, ack=0 if flags == SYN else None)
        # A full ring, as user space sees it: the kernel counts on, the record is not there.
        gone = bool(outcome.records) and data.draw(st.integers(0, 7)) == 0
        whose = [
            n for n in range(len(turns)) if payload.startswith(b"%s /%d " % (turns[n].method, n))
        ]
        if outcome.records:
            copied += [] if gone else whose
            lost += whose if gone else []
        for record in [] if gone else outcome.records:
            (segment,) = record.segments()
            events.extend(target.follow(segment, record.number))
            check_balance(target)
    events += target.close(Unanswered.DRAINED, 1 << 62)
    check_balance(target)
    assert tap.counts()[Counter.RING_FULL] == before[Counter.RING_FULL]
    # the others: a body's bytes, which pass for a request after a loss
    told = [exchange for exchange in begun(events) if exchange.host == b"a"]
    for exchange in told:
        assert int(exchange.target[1:]) in copied
        check_truth(exchange, turns)
    # every request that reached user space began, or what hides it is counted
    missed = set(copied) - {int(exchange.target[1:]) for exchange in told}
    named = target.requests.started - target.requests.heads + target.requests.unexplained_gaps
    assert len(missed) <= named + target.requests.gap


def test_lost_is_named_among_the_skipped(make_tap: MakeTap) -> None:
    """Records that find the ring full, between others that are skipped on purpose."""
    tap = make_tap(ENTRY, ring_size=16 * PAGE)
    tap.configure(lease_max_ns=1 << 62)
    tap.control.renew_lease(1 << 62)
    _check_named([tap])
