"""The judge: what is exact, what is named, and everything that is wrong."""

from __future__ import annotations

from shadow_agent.http.counts import RequestCounts, RequestOutcome
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead
from shadow_agent.selftest.truth import Understood, judge
from shadow_agent.telemetry.reasons import Unanswered


def _known(body: bytes = b"answer") -> Understood:
    known = Understood("GET")
    known.request(b"")
    known.response(200, body)
    return known


def _exchange(target: str = "/a", body: bytes | None = b"answer", status: int = 200) -> Exchange:
    head = RequestHead(b"", "GET", target.encode(), "1.1")
    exchange = Exchange(1, b"", "", head, 0, 0, 0)
    exchange.request_outcome = RequestOutcome.COMPLETE
    exchange.set_request_body(0, None, None)
    exchange.response = ResponseHead(b"", status, 0)
    if body is not None:
        exchange.set_response_body(len(body), body, None)
    return exchange


def test_exact() -> None:
    """Every value is the one that was understood."""
    verdict = judge({"/a": _known()}, [_exchange()], RequestCounts())
    assert (verdict.understood, verdict.exact) == (1, 1)
    assert not verdict.named
    assert not verdict.wrong


def test_named() -> None:
    """Unknown for a reason, on either side, or not there while a loss was counted."""
    unanswered = _exchange("/a", None)
    unanswered.response, unanswered.unanswered = None, Unanswered.GAP
    gap = _exchange("/b", None)
    gap.note("response body: gap")
    cut = _exchange("/c")
    cut.request_body_len, cut.request_outcome = None, RequestOutcome.GAP
    counts = RequestCounts()
    counts.unexplained_gaps = 1
    truth = {target: _known() for target in ("/a", "/b", "/c", "/d")}
    verdict = judge(truth, [unanswered, gap, cut], counts)
    assert verdict.exact == 0
    assert verdict.wrong == []
    assert set(verdict.named) == {
        "unanswered.gap", "response body: gap", "request.gap", "request.lost",
    }  # fmt: skip


def test_wrong() -> None:
    """Another value, nobody's exchange, the same twice, silence, an unnamed absence."""
    truth = {target: _known() for target in ("/a", "/b", "/c", "/d")}
    exchanges = [
        _exchange("/a", status=500), _exchange("/b", b"other!"), _exchange("/x"), _exchange("/a"),
        _exchange("/c", None),
    ]  # fmt: skip
    verdict = judge(truth, exchanges, RequestCounts())
    assert verdict.exact == 0
    text = "\n".join(verdict.wrong)
    for part in (
        "/a: status 500, was 200", "/b: response body ", "/x: an exchange that nobody had",
        "/a: an exchange twice", "/c: response body unknown, and nothing says why",
        "/d: missing, and no loss counted",
    ):  # fmt: skip
        assert part in text


def test_what_an_end_never_knew_is_not_judged() -> None:
    """The client went away: what the server sent is not wrong for that."""
    known = Understood("GET")
    verdict = judge({"/a": known}, [_exchange()], RequestCounts())
    assert verdict.exact == 1
