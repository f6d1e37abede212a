"""Row: what one exchange of production came to, in a fixed size; the worker's half of a record.

A worker packs rows and sends them in batches. Names (an endpoint, a cohort, a rule, a place where
bodies differ) travel once, ahead of the first row that has their number; see `batch`.
"""

from __future__ import annotations

import struct
from enum import IntFlag
from typing import Final, NamedTuple

from shadow_agent.telemetry.reasons import Failed, Outcome, Refused, Shed, Unanswered, Uncomparable

UNKNOWN_US: Final = float("nan")
UNKNOWN_AGE: Final = 0xFFFFFFFF

# What became of a request's head, in the order of their numbers.
FATES: Final = (
    "compared",
    *(f"unanswered.{why}" for why in Unanswered),
    *(f"refused.{why}" for why in Refused),
    *(f"shed.{why}" for why in Shed),
    *(f"failed.{why}" for why in Failed),
    *(f"uncomparable.{why}" for why in Uncomparable),
)
COMPARED: Final = 0
# How the candidate's or the baseline's half ended; 0: it has none.
OUTCOMES: Final = ("none", *(str(outcome) for outcome in Outcome))


class Flag(IntFlag):
    """What is true of a row."""

    ELIGIBLE = 1 << 0  # may count in a verdict: compared, not diverged
    WRITE = 1 << 1  # the method changes something
    HEALTH = 1 << 2  # a health check: a segment of its own, outside the gates
    REPEAT = 1 << 3  # the baseline's half is the candidate's second answer (self-noise)
    BASELINE_FIRST = 1 << 4  # dispatched to the baseline before the candidate
    OUT_OF_ORDER = 1 << 5  # went out after one that production sent later on its connection
    STATUS_DIFFERS = 1 << 6  # candidate against production
    HEADERS_DIFFER = 1 << 7
    BODY_DIFFERS = 1 << 8
    BODY_UNKNOWN = 1 << 9  # one of both bodies is not wholly known
    BASELINE_STATUS_DIFFERS = 1 << 10  # baseline against production
    BASELINE_HEADERS_DIFFER = 1 << 11
    BASELINE_BODY_DIFFERS = 1 << 12
    BASELINE_BODY_UNKNOWN = 1 << 13


class Row(NamedTuple):
    """One exchange. Names are numbers here; µs are from the request's last byte, NaN unknown."""

    ts: int  # ns since the epoch: the request's first byte on production's side
    id: int  # the worker's number of the exchange: as in X-Shadow-Request-Id and the evidence
    session: int  # keyed hash of what holds a user's requests together
    flags: int
    epoch: int  # of builds: a deploy of either side starts another
    fate: int  # index into FATES
    outcome: int  # index into OUTCOMES
    baseline_outcome: int
    worker: int
    endpoint: int
    cohort: int
    region: int
    rule: int
    production_status: int  # 0: none
    shadow_status: int
    baseline_status: int
    in_flight: int  # at the shadow when it was sent
    entity_age_ms: int  # since the last write to the same entity; UNKNOWN_AGE
    production_len: int  # bytes of the answer's body, saturating at 2**32 - 1
    shadow_len: int
    baseline_len: int
    request_len: int
    production_first_us: float
    shadow_first_us: float
    baseline_first_us: float
    production_last_us: float
    shadow_last_us: float
    baseline_last_us: float
    lag_us: float  # from its capture to its dispatch
    differences: int  # how many numbers in the batch's list of differences are this row's
    baseline_differences: int  # and how many behind those are the baseline's


# Little endian, no padding: `records.table.DTYPE` is the same in numpy, and a test holds them.
LAYOUT: Final = struct.Struct("<qQQHHBBBBIIIIHHHHIIIIIfffffffHH")
