"""What reassembly saw, as lines of the ledger."""

from __future__ import annotations

from shadow_agent.daemon.observed import observed
from shadow_agent.telemetry.reasons import NotHttp, Unanswered
from tests.property.wire import GET, Wire, assembler, drive, response


def test_four_lines_that_balance() -> None:
    """After anything: complete, cut off, not HTTP."""
    target = assembler()
    wire, other = Wire(port=1), Wire(port=2)
    segments = [*wire.open(), wire.client(GET % 1), wire.server(response()), wire.client(GET % 2)]
    segments += [*other.open(), other.client(b"\x16\x03\x01")]
    drive(target, segments)
    for closed in (False, True):
        if closed:
            target.close(Unanswered.DRAINED, 0)
        ledger = observed(target, len(segments))
        for line in (ledger.segments, ledger.requests, ledger.exchanges):
            assert line.left == line.right
        assert ledger.records.read == ledger.segments.read == len(segments)
        assert ledger.segments.not_http == {one.value: int(one is NotHttp.TLS) for one in NotHttp}
        assert (ledger.requests.heads, ledger.exchanges.answered) == (2, 1)
    assert observed(target, len(segments)).exchanges.unanswered == {"drained": 1}
