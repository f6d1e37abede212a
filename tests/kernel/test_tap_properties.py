"""Whatever bytes come: verdict "next", packet untouched, counters in balance."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_agent.kernel.layout import Counter
from tests.kernel import frames
from tests.kernel.conftest import ENTRIES, MakeTap
from tests.kernel.frames import GET, frame, ip, tcp

# What the kernel itself refuses to test-run: an IP ethertype with less than an IP header.
SHORTEST = {b"\x08\x00": 34, b"\x86\xdd": 54}

ethertypes = st.one_of(
    st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\xa8", b"\x08\x06"]),
    st.binary(min_size=2, max_size=2),
)
macs = st.one_of(st.just(bytes(12)), st.binary(min_size=12, max_size=12))


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """A link header that makes sense and nothing else that does."""
    ethertype = draw(ethertypes)
    least = SHORTEST.get(ethertype, 14) - 14
    return draw(macs) + ethertype + draw(st.binary(min_size=least, max_size=3000))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good frame with some bytes changed, cut or lengthened: it gets further into the parser."""
    family = draw(st.sampled_from([4, 6]))
    ends = frames.request_ends(family, shadow=draw(st.booleans()))
    ends = ends if draw(st.booleans()) else ends.reversed()
    tags = draw(st.sampled_from(["", "q", "aq"]))
    raw = bytearray(frame(ip(ends) / tcp(ends, GET * draw(st.integers(0, 40))), tags=tags))
    for at, value in draw(
        st.lists(
            st.tuples(st.integers(14, min(120, len(raw) - 1)), st.integers(0, 255)), max_size=6
        )
    ):
        raw[at] = value
    least = 54 if tags else SHORTEST[bytes(raw[12:14])]
    end = draw(st.integers(least, len(raw)))
    return bytes(raw[:end]) + draw(st.binary(max_size=40))


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", [noise, damaged])
def test_any_bytes(make_tap: MakeTap, entry: str, kind: object) -> None:
    """Also: at most one packet's records, of lengths that the frame can hold."""
    assert callable(kind)
    tap = make_tap(entry)
    tap.configure(shadow=frames.shadow_of(4), guard=True, lease_max_ns=600_000_000_000)
    strategy = kind()

    @settings(
        max_examples=200,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check(sent: bytes) -> None:
        tap.control.renew_lease(time.monotonic_ns())
        # an L3 entry meets Ethernet here, or bytes whose ethertype lies within an address
        records, counted = tap.run(entry, sent)
        counted.pop(Counter.LEAKED, None)
        counted.pop(Counter.RING_FULL_REQUESTS, None)
        assert sum(counted.values()) == 1
        assert len(records) == counted.get(Counter.COPIED, 0)
        assert all(r.length <= len(sent) for r in records)
        assert all(r.payload in sent for r in records)

    check()
