"""The closed sets of reasons: every early exit of the path has exactly one name here.

Values are what appears in the ledger's JSON and in metric labels, so renaming one breaks readers.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Self

__all__ = [
    "AliasEvent",
    "BodyResult",
    "EvidenceLost",
    "Failed",
    "LatencyUnknown",
    "NotHttp",
    "Outcome",
    "Overload",
    "Reason",
    "RecordsLost",
    "Refused",
    "Shed",
    "Unanswered",
    "Uncomparable",
    "Unsupported",
    "Withheld",
]


class Reason(StrEnum):
    """A reason and, as ``meaning``, when it happens, in words for an operator."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make the member equal to ``value`` and carry ``meaning``."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


@unique
class Unsupported(Reason):
    """``packets.unsupported``: the tap saw the packet and cannot read it."""

    OTHER_HOST = ("other_host", "addressed to another machine's MAC: bridges, macvlan parents")
    FRAGMENT = ("fragment", "an IP fragment: ports are in the first one only")
    TUNNEL = ("tunnel", "the service's TCP is wrapped in another protocol")
    IPV6_EXTENSION = ("ipv6_extension", "an extension header chain longer or stranger than we walk")
    TRUNCATED = ("truncated", "the frame ends before its headers say it does")
    # from capture files only
    FRAGMENT_EVICTED = (
        "fragment_evicted",
        "a fragment that gave way to newer ones: too many wait for the rest of their datagrams",
    )
    FRAGMENT_OVERLAP = (
        "fragment_overlap",
        "a fragment of a datagram whose fragments contradict each other; hosts discard it too",
    )
    LINK = ("link", "a link type of a capture file that we do not read, or that it does not name")
    MALFORMED = ("malformed", "a header contradicts itself or the one before")
    ENCRYPTED = ("encrypted", "IPsec, WPA or MACsec: only who has the key can look inside")


@unique
class RecordsLost(Reason):
    """``records.lost``: the kernel copied it, no worker made a segment of it."""

    WORKER_DIED = ("worker_died", "consumed from the ring, but the worker died before counting it")
    UNDECODABLE = ("undecodable", "header of an unknown version or lengths that contradict")


@unique
class NotHttp(Reason):
    """``segments.not_http``: payload on the service's port that is not HTTP/1."""

    TLS = ("tls", "the flow began with a TLS handshake record")
    H2 = ("h2", "the flow began with the HTTP/2 preface")
    UPGRADED = ("upgraded", "after 101 or CONNECT the flow speaks something else")
    OTHER = ("other", "the flow's first bytes are no HTTP method")


@unique
class Unanswered(Reason):
    """``exchanges.unanswered``: a production request without a production answer we can read."""

    CLIENT_ABORTED = ("client_aborted", "the client reset before the answer's head was complete")
    SERVER_CLOSED = ("server_closed", "production closed or reset before its head was complete")
    GAP = ("gap", "the answer's head was lost in capture, or loss hides which is its own")
    MALFORMED = ("malformed", "the answer's head breaks RFC 9112 or is over the limit")
    EVICTED = ("evicted", "the flow was idle too long or the flow table was full")
    UPGRADED = ("upgraded", "the connection left HTTP before the answer")
    PAUSED = ("paused", "mirroring was paused while the answer was due")
    DRAINED = ("drained", "the run ended first")
    WORKER_DIED = ("worker_died", "the worker that held it died")


@unique
class Refused(Reason):
    """``replay.refused``: policy does not let this request reach the shadow."""

    METHOD = ("method", "not among the methods that may be replayed")
    RULE = ("rule", "a rule drops it")
    AMBIGUOUS = (
        "ambiguous",
        "a rule would let it out if its path, host or fields are read one way only",
    )
    UNGUARDED = ("unguarded", "a write, and neither a guard at the shadow's side nor --unguarded")
    DRY_RUN = ("dry_run", "--dry-run: it would have been replayed")
    LOOP = ("loop", "it came from the shadow's address or has the marker: it could go on for ever")
    REQUEST_LIMIT = ("request_limit", "--requests N were replayed already")
    RATE = ("rate", "over the budget of requests per second")
    CONCURRENT = ("concurrent", "as many requests as the budget allows were under way")
    COST = ("cost", "what the budget of cost has left does not pay for it")
    BUDGET_BUSY = ("budget_busy", "another worker kept the shared budget from being looked at")
    UPGRADE = ("upgrade", "CONNECT or Upgrade: the connection would leave HTTP")
    UNEDITABLE = (
        "uneditable",
        "something in its body or path must be changed and cannot be: too large, late or unclear",
    )
    MALFORMED = ("malformed", "an edit or alias would make it malformed or too long")
    PAUSED = ("paused", "replay was paused by the operator or by an alert")


@unique
class Shed(Reason):
    """``replay.shed``: the shadow is too slow for what production sends."""

    QUEUE_FULL = ("queue_full", "too many requests wait on one shadow connection")
    CONNECTIONS = ("connections", "the cap on shadow connections is reached and none is idle")
    BACKLOG_BYTES = ("backlog_bytes", "too many body bytes wait behind another request")
    AGE = ("age", "it waited too long: its answer would compare another moment")
    BREAKER = ("breaker", "the breaker was open: the shadow is overloaded or cannot be reached")


@unique
class Failed(Reason):
    """``replay.failed``: the agent's own fault, never the shadow's."""

    NO_SOCKET = ("no_socket", "out of descriptors, ports or memory for a socket")
    BIND = ("bind", "the socket could not be bound to the shadow interface")
    NO_ROUTE = ("no_route", "this host has no way to the shadow: no route, or it forbids itself")
    LINK_DOWN = ("link_down", "the shadow interface of this host was down or away")
    INTERNAL = ("internal", "an unexpected exception, logged once per kind")
    WORKER_DIED = ("worker_died", "the worker died with it in hand")
    DRAINED = ("drained", "the run ended before it was sent")


@unique
class Uncomparable(Reason):
    """``pairs.uncomparable``: replayed, but one half of the pair is missing."""

    PRODUCTION_UNANSWERED = (
        "production_unanswered",
        "there is no production answer to compare with",
    )
    REQUEST_INCOMPLETE = ("request_incomplete", "the shadow got only part of the request's body")
    WORKER_DIED = ("worker_died", "the worker died before both answers were there")
    DRAINED = ("drained", "the run ended before both answers were there")
    BACKLOG = ("backlog", "the shadow read the request's body too slowly and it was cut")
    LINK_DOWN = ("link_down", "the shadow interface went down or away while the answer was due")
    NOT_RESENT = ("not_resent", "an idle close crossed it, and budget or breaker let it go no more")
    INTERNAL = ("internal", "sent once, and then the agent's own fault")


@unique
class Outcome(Reason):
    """How the shadow's half of a compared pair ended; all but ``ANSWERED`` are bad."""

    ANSWERED = ("answered", "a whole, readable answer")
    REFUSED = ("refused", "connection refused")
    UNREACHABLE = ("unreachable", "no route to the shadow, or ICMP said so")
    RESET = ("reset", "the shadow reset the connection before its answer was whole")
    CLOSED = ("closed", "the shadow closed the connection before its answer was whole")
    TIMEOUT_CONNECT = ("timeout_connect", "no connection within its deadline")
    TIMEOUT_FIRST_BYTE = ("timeout_first_byte", "no first byte within its deadline")
    TIMEOUT_WHOLE = ("timeout_whole", "first byte came, the last did not within its deadline")
    GARBAGE = ("garbage", "what came back is not an HTTP/1 response")
    OVERSIZE = ("oversize", "a head or body beyond what we read")


@unique
class Overload(Reason):
    """``breaker.cause``: the shadow is overloaded or away. What is merely wrong is no cause."""

    UNREACHABLE = ("unreachable", "connections were refused, or nobody answered them")
    TIMEOUT = ("timeout", "answers did not begin, or not end, in time")
    BUSY = ("busy", "it said so: 503 or 429 with Retry-After, where production did not")
    SHED = ("shed", "requests were shed because it was too slow")
    BEHIND = ("behind", "what production has answered and the shadow has not kept growing")


@unique
class BodyResult(Reason):
    """Whether both bodies of a compared pair were equal after chunked decoding."""

    MATCHED = ("matched", "same length and hash")
    MISMATCHED = ("mismatched", "both known and different")
    UNKNOWN = ("unknown", "at least one is incomplete, so no claim is made")


@unique
class AliasEvent(Reason):
    """What became of values that production handed out and the shadow handed out otherwise."""

    LEARNED = ("learned", "both sides' values from one place are known")
    SENT = ("sent", "a request went out with the shadow's value in place of production's")
    UNFIT = (
        "unfit",
        "a value that cannot stand in a request, or be remembered: a line end, or too long",
    )
    EVICTED = ("evicted", "the oldest of a session that learned too many")
    EXPIRED = ("expired", "a session's, not used for too long")
    FORGOTTEN = ("forgotten", "a session's, given up for room")
    DIVERGED_FORGOTTEN = (
        "diverged_forgotten",
        "a diverged session given up for room: its requests count in the verdict again",
    )


@unique
class LatencyUnknown(Reason):
    """Why the kernel's timestamps give no latency for one side of a pair."""

    NO_SYN = ("no_syn", "our own connection's SYN record was lost: no sequence base")
    NO_SEGMENT = ("no_segment", "the record of the first or last byte was lost")
    RETRANSMITTED = ("retransmitted", "the request or the answer's first byte was sent twice")


@unique
class Withheld(Reason):
    """Why a body is not in the evidence or the file written: redaction could not look into it.

    In its place stands a token of the whole body, so that equality still shows.
    """

    NOT_KEPT = ("not_kept", "it was not kept: over 16 KiB or in several pieces")
    INCOMPLETE = ("incomplete", "its end was not seen")
    TOO_LARGE = ("too_large", "over 64 KiB, perhaps only once it is unpacked")
    CODING = ("coding", "a content coding other than gzip and deflate, or one that is broken")
    CHARSET = ("charset", "a character set that does not contain ASCII, or an unknown one")
    UNPARSABLE = ("unparsable", "says that it is JSON, or begins like it, and is not")
    TOO_DEEP = ("too_deep", "JSON nested deeper than redaction follows")
    CROWDED = ("crowded", "more places to redact than redaction looks at")
    BINARY = ("binary", "neither text, nor JSON, nor a form: images, archives, multipart")


@unique
class EvidenceLost(Reason):
    """``evidence.lost``: a pair differed, and was not stored. Mirroring and counting go on."""

    RATE = ("rate", "more pairs differed per second than privacy.max-rate")
    FULL = ("full", "all that privacy.max-run-bytes or --write-limit allows is stored")
    SLOW = ("slow", "the disk is slower than pairs come: too many wait")
    DISK = ("disk", "the disk is full or failed; this worker stores nothing more")
    TOO_LARGE = ("too_large", "larger than a record may be")
    INTERNAL = ("internal", "an unexpected exception, logged once per kind")
