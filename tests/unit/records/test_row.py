"""Rows as they are packed."""

from __future__ import annotations

import math

from shadow_agent.records.row import FATES, LAYOUT, OUTCOMES, UNKNOWN_AGE, UNKNOWN_US, Flag, Row

ROW = Row(
    ts=1_763_892_000_000_000_001,
    id=2**63,
    session=2**64 - 1,
    flags=Flag.ELIGIBLE | Flag.BASELINE_BODY_UNKNOWN,
    epoch=1,
    fate=len(FATES) - 1,
    outcome=len(OUTCOMES) - 1,
    baseline_outcome=0,
    worker=3,
    endpoint=4,
    cohort=5,
    region=6,
    rule=7,
    production_status=200,
    shadow_status=503,
    baseline_status=0,
    in_flight=8,
    entity_age_ms=UNKNOWN_AGE,
    production_len=2**32 - 1,
    shadow_len=9,
    baseline_len=10,
    request_len=11,
    production_first_us=1.5,
    shadow_first_us=2.5,
    baseline_first_us=UNKNOWN_US,
    production_last_us=3.5,
    shadow_last_us=4.5,
    baseline_last_us=5.5,
    lag_us=6.5,
    differences=12,
    baseline_differences=13,
)


def test_what_is_packed_is_read() -> None:
    """Each field in its place, and no byte between."""
    packed = LAYOUT.pack(*ROW)
    assert len(packed) == LAYOUT.size == 108
    read = Row(*LAYOUT.unpack(packed))
    assert math.isnan(read.baseline_first_us)
    assert read._replace(baseline_first_us=0.0) == ROW._replace(baseline_first_us=0.0)


def test_numbers_fit() -> None:
    """One name each, in a byte; flags in two."""
    for names in (FATES, OUTCOMES):
        assert len(set(names)) == len(names) < 256
    assert max(Flag) < 1 << 16
    assert (FATES[0], OUTCOMES[0]) == ("compared", "none")
