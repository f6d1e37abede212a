"""What reassembly saw, as lines of the ledger: the same for a live tap and for a capture."""

from __future__ import annotations

from shadow_agent.http.assembler import Assembler
from shadow_agent.telemetry.ledger import Exchanges, Ledger, Records, Requests, Segments


def observed(assembler: Assembler, read: int) -> Ledger:
    """Records, segments, requests and exchanges, now; ``read``: packets given to the assembler."""
    requests, exchanges = assembler.requests, assembler.exchanges
    segments = assembler.segments
    return Ledger(
        records=Records(read=read),
        segments=Segments(
            read=read,
            used=segments.used,
            duplicate=segments.duplicate,
            out_of_window=segments.out_of_window,
            unaligned=segments.unaligned,
            evicted=segments.evicted,
            not_http={
                "tls": segments.not_http_tls,
                "h2": segments.not_http_h2,
                "upgraded": segments.not_http_upgraded,
                "other": segments.not_http_other,
            },
            held=segments.held,
        ),
        requests=Requests(
            started=requests.started,
            complete=requests.complete,
            gap=requests.gap,
            malformed=requests.malformed,
            oversize=requests.oversize,
            evicted=requests.evicted,
            aborted=requests.aborted,
            open=requests.open,
            heads=requests.heads,
            lost=requests.unexplained_gaps,
        ),
        exchanges=Exchanges(
            heads=requests.heads,
            answered=exchanges.answered,
            unanswered={why.value: n for why, n in exchanges.unanswered.items() if n},
            open=exchanges.open,
        ),
    )
