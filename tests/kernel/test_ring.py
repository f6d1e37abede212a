"""The mapped ring against the kernel's: wrapping, claims, positions."""

from __future__ import annotations

import select

import pytest

from shadow_agent.flow.segment import Segment
from shadow_agent.kernel import bpf, ring
from shadow_agent.kernel.layout import Counter
from shadow_agent.kernel.ring import RingView
from tests.kernel import frames
from tests.kernel.conftest import PAGE, MakeTap, Tap
from tests.kernel.frames import GET, frame, ip, tcp

RECORD_BYTES = 8 + 80 + 256


def _send(tap: Tap, *payloads: bytes) -> None:
    ends = frames.request_ends(4)
    for payload in payloads:
        bpf.test_run(tap.programs["tap_ingress"], frame(ip(ends) / tcp(ends, payload)))


class _DiedError(Exception):
    """The worker's end, after its claim and before its work."""


@pytest.mark.parametrize("limit", [1, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, 1000])
def test_claim_of_a_dead_worker_is_skipped_on_a_record_boundary(
    make_tap: MakeTap, limit: int
) -> None:
    """What it may have handled is given up, the rest is whole: nothing twice, nothing mangled."""
    tap = make_tap("tap_ingress")
    _send(tap, *[b"%d" % i for i in range(5)])
    claimed: list[int] = []

    def claim(end: int) -> None:
        claimed.append(end)
        raise _DiedError

    nothing: list[Segment] = []
    with pytest.raises(_DiedError):
        tap.readers[0].drain(claim, claimed.append, nothing.append, nothing.append, limit)
    supervisor = RingView(tap.rings[0], tap.ring_size)
    supervisor.skip_to(claimed[0])
    supervisor.close()
    # a reader handles every record that starts below its claim
    given_up = -(-limit // RECORD_BYTES)
    assert [r.payload for r in tap.records()] == [b"%d" % i for i in range(given_up, 5)]


@pytest.mark.parametrize("what", ["RECORD", "Segment"])
def test_every_record_that_is_off_the_ring_is_counted(
    make_tap: MakeTap, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Also when there is no memory to read it, or to make a segment of it."""
    tap = make_tap("tap_ingress")
    _send(tap, b"0", b"1")
    reader = tap.readers[0]
    positions: list[int] = []
    nothing: list[Segment] = []
    with monkeypatch.context() as full:
        full.setattr(ring, what, object)
        with pytest.raises((TypeError, AttributeError)):
            reader.drain(positions.append, positions.append, nothing.append, nothing.append, 1000)
    counted = reader.packets
    assert reader.consumed == counted * RECORD_BYTES
    assert [r.payload for r in tap.records()] == [b"0", b"1"][counted:]


def test_ring_wraps_many_times(make_tap: MakeTap) -> None:
    """Records of all classes across the end of the ring, read whole."""
    tap = make_tap("tap_ingress", ring_size=2 * PAGE)
    for round_ in range(200):
        payloads = [GET + b"%d" % round_, bytes(300 + round_), bytes(1500 + round_)]
        _send(tap, *payloads)
        assert [r.payload for r in tap.records()] == payloads
    assert tap.counts()[Counter.COPIED] == 600


def test_reader_is_woken_by_steps_not_by_records(make_tap: MakeTap) -> None:
    """One wake-up for each step taken, and none while a full ring refuses records."""
    tap = make_tap("tap_ingress", ring_size=4 * PAGE)
    tap.configure(wake_bytes=PAGE)
    epoll = select.epoll()
    epoll.register(tap.rings[0], select.EPOLLIN | select.EPOLLET)
    epoll.poll(0)
    woken = 0
    for _ in range(80):
        _send(tap, GET)
        woken += len(epoll.poll(0))
    epoll.close()
    counts = tap.counts()
    assert counts[Counter.RING_FULL] > 0
    assert woken == counts[Counter.COPIED] * RECORD_BYTES // PAGE
