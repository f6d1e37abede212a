"""What a client's first bytes are: an HTTP/1 request, or which other protocol."""

from __future__ import annotations

import re
from typing import Final

from shadow_agent.telemetry.reasons import NotHttp

_H2_PREFACE: Final = b"PRI * HTTP/2"
_TLS_HANDSHAKE: Final = b"\x16\x03"
# What a load balancer says before the first request (haproxy's proxy-protocol.txt).
PROXY_V1: Final = b"PROXY "
PROXY_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY_STARTS: Final = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", PROXY_V2)

# Known methods only: behind a gap "OST /x" is the rest of a request, not one. The tail of another
# known one is none here (LOCK of UNLOCK, LINK, BIND, SUBSCRIBE); PATCH is, as PROPPATCH is rare.
_METHOD: Final = (
    rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|PROPFIND|PROPPATCH|MKCOL|COPY|MOVE|UNLOCK"
    rb"|SEARCH|REPORT|CHECKOUT|CHECKIN|MERGE|MKACTIVITY|MKCALENDAR|UNLINK|UNBIND|REBIND|ACL|PURGE"
    rb"|NOTIFY|UNSUBSCRIBE|M-SEARCH|QUERY)"
)
# A method, a space and how a request target can start: origin or asterisk form, or the scheme of
# an absolute one. CONNECT alone takes an authority. Strict, because it decides whether bytes in
# mid-stream are a message's start; two letters at least, as no registered method has fewer.
_match_request: Final = re.compile(
    rb"(?:\r?\n)*(?:CONNECT [\w.\-\[:]|" + _METHOD + rb" (?:/|\*[ \r]|[hH][tT][tT][pP]))"
).match
# The first bytes of a flow that was opened with a SYN are a message's start for sure, so they may
# be cut anywhere and only have to be able to become one.
_match_prefix: Final = re.compile(
    rb"(?:\r?\n)*\r?(?:\Z|[A-Z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,63}(?:\Z| ))"
).match


def starts_request(payload: bytes) -> bool:
    """Whether a segment seen in mid-connection begins a request."""
    return _match_request(payload) is not None


def starts_flow(payload: bytes) -> bool:
    """Whether a segment of an unknown connection can be the first: a request or a preamble."""
    return _match_request(payload) is not None or payload.startswith(_PROXY_STARTS)


def is_preamble(payload: bytes) -> bool:
    """Whether a flow's first bytes are, or may become, a PROXY protocol preamble."""
    size = len(payload)
    return payload[:6] == PROXY_V1[:size] or payload[:12] == PROXY_V2[:size]


def starts_response(payload: bytes) -> bool:
    """Whether a segment seen in mid-connection begins an HTTP/1 response."""
    return payload.startswith(b"HTTP/1.")


def classify(payload: bytes) -> NotHttp | None:
    """What the first bytes of a flow say it is not; None means that it may be HTTP/1."""
    if payload.startswith(_H2_PREFACE):
        return NotHttp.H2
    if _match_prefix(payload) is not None or payload[:12] == PROXY_V2[: len(payload)]:
        return None
    if payload.startswith(_TLS_HANDSHAKE) or payload == _TLS_HANDSHAKE[:1]:
        return NotHttp.TLS
    return NotHttp.OTHER
