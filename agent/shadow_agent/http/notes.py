"""Why something of an exchange is unknown, for its `notes`: a closed set, no wire bytes."""

from __future__ import annotations

from typing import Final

from shadow_agent.http.counts import RequestOutcome
from shadow_agent.telemetry.reasons import Unanswered

REQUEST_BODY: Final[dict[RequestOutcome, str]] = {
    outcome: f"request body: {outcome.value}"
    for outcome in RequestOutcome
    if outcome is not RequestOutcome.COMPLETE
}
RESPONSE_GAP: Final = "response body: gap"
RESPONSE_MALFORMED: Final = "response body: malformed"
# The direction ended in the middle: by FIN or RST, or for a reason of ours.
RESPONSE_CUT: Final = {
    why: f"response body: cut off ({why})"
    for why in ("fin", "rst", *(reason.value for reason in Unanswered))
}
NO_RESPONSE: Final = {why: f"response: none ({why.replace('_', ' ')})" for why in Unanswered}

NOTES: Final = frozenset(
    {
        RESPONSE_GAP,
        RESPONSE_MALFORMED,
        *REQUEST_BODY.values(),
        *RESPONSE_CUT.values(),
        *NO_RESPONSE.values(),
    }
)
