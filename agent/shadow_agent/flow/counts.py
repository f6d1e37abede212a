"""Where every segment went: the ledger's `segments` line."""

from __future__ import annotations

from shadow_agent.telemetry.reasons import NotHttp


class SegmentCounts:
    """read = used + duplicate + out_of_window + unaligned + evicted + not_http_* + held, always.

    Counts packets (final pieces). `held` is a gauge, every other only grows.
    """

    __slots__ = (
        # every byte was already seen, or a longer copy came while it waited: retransmission,
        # keep-alive probe; or a RST behind the next byte, which its receiver ignores
        "duplicate",
        "evicted",  # was waiting for a hole to fill when its flow was evicted, reset or replaced
        "held",  # waits now for a hole before it to fill
        "not_http_h2",  # on a flow that turned out HTTP/2
        "not_http_other",  # on a flow that begins with no HTTP request
        "not_http_tls",  # on a flow that turned out TLS
        "not_http_upgraded",  # on a flow after a protocol switch
        "out_of_window",  # a sequence number no receiver would accept (a gibibyte off)
        "unaligned",  # on a flow joined in mid-connection before its first request, or never opened
        "used",  # its bytes became Data, or it opened or closed a known flow
    )

    def __init__(self) -> None:
        """All zero."""
        self.used = 0
        self.duplicate = 0
        self.out_of_window = 0
        self.unaligned = 0
        self.evicted = 0
        self.not_http_tls = 0
        self.not_http_h2 = 0
        self.not_http_upgraded = 0
        self.not_http_other = 0
        self.held = 0

    @property
    def read(self) -> int:
        """The sum of every line: how many packets were pushed."""
        return (
            self.used
            + self.duplicate
            + self.out_of_window
            + self.unaligned
            + self.evicted
            + self.not_http_tls
            + self.not_http_h2
            + self.not_http_upgraded
            + self.not_http_other
            + self.held
        )

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """The ledger's `segments` line; `not_http` by reason, zeros left out."""
        reasons = {
            "tls": self.not_http_tls,
            "h2": self.not_http_h2,
            "upgraded": self.not_http_upgraded,
            "other": self.not_http_other,
        }
        return {
            "read": self.read,
            "used": self.used,
            "duplicate": self.duplicate,
            "out_of_window": self.out_of_window,
            "unaligned": self.unaligned,
            "evicted": self.evicted,
            "not_http": {name: n for name, n in reasons.items() if n},
            "held": self.held,
        }

    def count_not_http(self, kind: NotHttp, packets: int) -> None:
        """Counts packets of a flow that is not read as HTTP/1."""
        if kind is NotHttp.TLS:
            self.not_http_tls += packets
        elif kind is NotHttp.H2:
            self.not_http_h2 += packets
        elif kind is NotHttp.UPGRADED:
            self.not_http_upgraded += packets
        else:
            self.not_http_other += packets
