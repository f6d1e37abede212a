"""Every reason for something unknown is one of a closed set."""

from shadow_agent.http.counts import RequestOutcome
from shadow_agent.http.notes import NO_RESPONSE, NOTES, REQUEST_BODY, RESPONSE_CUT
from shadow_agent.telemetry.reasons import Unanswered


def test_every_reason_has_its_note() -> None:
    """Short, and all different."""
    assert set(REQUEST_BODY) == set(RequestOutcome) - {RequestOutcome.COMPLETE}
    assert set(NO_RESPONSE) == set(Unanswered)
    assert set(Unanswered) <= set(RESPONSE_CUT)
    assert NO_RESPONSE[Unanswered.SERVER_CLOSED] == "response: none (server closed)"
    assert all(len(note) < 50 and note.isprintable() for note in NOTES)
