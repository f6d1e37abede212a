"""The segments line of the ledger."""

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.telemetry.reasons import NotHttp


def test_read_is_the_sum_of_all() -> None:
    """Every counter is part of `read`, so the line balances by construction."""
    counts = SegmentCounts()
    for number, name in enumerate(counts.__slots__):
        setattr(counts, name, 10**number)
    assert counts.read == int("1" * len(counts.__slots__))


def test_not_http_is_counted_by_reason() -> None:
    """Each reason has its counter, and zeros are left out of the object."""
    counts = SegmentCounts()
    for number, kind in enumerate(NotHttp, start=1):
        counts.count_not_http(kind, number)
    line = counts.as_dict()
    assert line["not_http"] == {"tls": 1, "h2": 2, "upgraded": 3, "other": 4}
    assert line["read"] == 10
    assert SegmentCounts().as_dict()["not_http"] == {}
