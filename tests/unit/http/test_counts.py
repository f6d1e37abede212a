"""Two lines of the ledger."""

from shadow_agent.http.counts import ExchangeCounts, RequestCounts, RequestOutcome
from shadow_agent.telemetry.reasons import Unanswered


def test_every_outcome_has_its_counter() -> None:
    """One open request fewer, one of its outcome more."""
    counts = RequestCounts()
    for outcome in RequestOutcome:
        counts.started += 1
        counts.open += 1
        counts.count(outcome)
        assert counts.as_dict()[outcome.value] == 1
    assert counts.open == 0
    assert sum(counts.as_dict().values()) == 2 * len(RequestOutcome)


def test_unanswered_is_by_reason() -> None:
    """Zeros are left out."""
    counts = ExchangeCounts()
    assert counts.as_dict() == {"answered": 0, "unanswered": {}, "open": 0}
    counts.unanswered[Unanswered.GAP] += 2
    assert counts.as_dict()["unanswered"] == {"gap": 2}
