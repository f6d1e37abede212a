"""What the wire does to packets, without a wire."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from random import Random

from shadow_agent.flow.segment import ACK, SYN
from shadow_agent.selftest.packets import Packet, build, parse
from shadow_agent.selftest.relay import Plan

QUIET = Plan(0, 0, 0, 0, 0)


def _raw(payload: bytes, flags: int = ACK) -> bytes:
    ends = (ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed)
    return build(Packet(*ends, 1, 2, 100, 0, flags, payload=payload))


def _fates(
    plan: Plan, raw: bytes, times: int = 200
) -> tuple[list[list[tuple[float, bytes]]], Counter[str]]:
    random, counts = Random(1), Counter[str]()
    return [plan.fate(raw, random, counts) for _ in range(times)], counts


def test_a_quiet_plan_changes_nothing() -> None:
    """One in, the same one out, at once."""
    raw = _raw(b"abc")
    fates, counts = _fates(QUIET, raw)
    assert fates == [[(0, raw)]] * 200
    assert not counts


def test_the_same_seed_is_the_same_wire() -> None:
    """So that a failure can be repeated."""
    assert _fates(Plan(), _raw(b"abc" * 9)) == _fates(Plan(), _raw(b"abc" * 9))


def test_losses_are_counted() -> None:
    """As often as nothing arrives."""
    fates, counts = _fates(Plan(lost=0.5), _raw(b"abc"))
    assert 0 < fates.count([]) == counts["lost"] < 200


def test_pieces_are_the_packet() -> None:
    """Cut or overlapping, put together they are what was sent."""
    for plan in (QUIET._replace(cut=1.0), QUIET._replace(overlapped=1.0)):
        for fate in _fates(plan, _raw(bytes(range(50))))[0]:
            stream = bytearray(50)
            assert len(fate) == 2
            for _, raw in fate:
                packet = parse(raw)
                assert packet is not None
                at = packet.seq - 100
                stream[at : at + len(packet.payload)] = packet.payload
            assert stream == bytes(range(50))


def test_doubled_and_delayed() -> None:
    """Twice the same, and never later than the plan says."""
    plan = QUIET._replace(doubled=1.0, delayed=1.0, delay_s=0.5)
    for fate in _fates(plan, _raw(b"abc"))[0]:
        (first, one), (second, other) = fate
        assert one == other
        assert 0 <= min(first, second) <= max(first, second) <= 0.5


def test_what_cannot_be_cut_is_not() -> None:
    """A SYN with data, a byte, another protocol."""
    plan = QUIET._replace(cut=1.0, overlapped=1.0)
    for raw in (_raw(b"abc", SYN), _raw(b"a"), _raw(b""), b"\x60 is no TCP" + bytes(40)):
        assert plan.fate(raw, Random(1), Counter()) == [(0, raw)]
