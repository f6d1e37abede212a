"""One request or response head → RequestHead or ResponseHead.

A head is fed whole to a fresh llhttp parser, which costs the same as reusing one and keeps no
state that one message could leave for the next. Bodies never reach llhttp: it cannot be told that
a response answers HEAD, and would copy every body.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from shadow_agent.http.mend import mend_request, mend_response

Headers = list[tuple[bytes, bytes]]

# Framing of a body: its length in bytes, or one of these.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_VERSIONS: Final = {b" HTTP/1.1": "1.1", b" HTTP/1.0": "1.0"}
# Spares the decoding of what nearly every request says.
_METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
# What llhttp takes for sure: printable, no fragment.
_match_plain_line: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!\"$-~]*) HTTP/1\.1\r\n"
).match
_CONTENT_LENGTH: Final = b"\r\nContent-Length: "
_SILENT: Final = object()
# A length above it overflows the signed 64 bits of most servers.
MAX_LENGTH: Final = (1 << 63) - 1
# What is remembered of requests' fields and of responses' heads, and up to which size (bytes): a
# client sends the same fields over and over, and a service answers alike. A look-up costs a tenth
# of the parser's judgement. 2 MB at most; the one not asked for longest goes.
_CACHED: Final = 512
_CACHED_BYTES: Final = 2048
# The fields that say something of the connection or of the body's end.
_find_telling: Final = re.compile(
    rb"(?i)\r\n(host|connection|content-length|transfer-encoding|expect"
    rb"|x[-_]http[-_]method[-_]override|x[-_]method[-_]override|x[-_]http[-_]method)"
    rb":[ \t]*([^\r\n]*)"
).findall
_NO_BODY: Final = frozenset({204, 304})


class Malformed(NamedTuple):
    """Why a head is none; one line that holds no bytes from the wire."""

    reason: str


class RequestHead:
    """A request's head. Its fields are split when somebody asks: framing needs a few only."""

    __slots__ = ("_headers", "expect_continue", "framing", "host", "keep_alive", "method",
                 "override", "plain_for", "raw", "shared", "target", "upgrade",
                 "version")  # fmt: skip

    def __init__(self, raw: bytes, method: str, target: bytes, version: str) -> None:
        """A head whose request line was accepted."""
        self.raw = raw  # as captured, with the empty line
        self.method = method
        self.target = target
        self.version = version  # "1.1" or "1.0"
        self._headers: Headers | None = None
        self.host: bytes | None = None  # the first Host field's value
        self.override: tuple[str, ...] = ()  # methods that frameworks may take it for
        self.framing = 0  # the body's length, or CHUNKED
        self.keep_alive = True
        self.expect_continue = False
        self.upgrade = False  # asks for another protocol, or is a CONNECT
        self.shared: RequestHead | None = None  # stands for all heads with these fields
        self.plain_for: object = None  # of such a one: who has nothing to say to its fields

    def take_raw(self, raw: bytes) -> None:
        """`raw` is what was captured; the head was judged, and its fields are read, mended."""
        self._headers = _split_fields(self.raw)
        self.raw = raw

    @property
    def headers(self) -> Headers:
        """The fields in order, names as sent."""
        if self._headers is None:
            self._headers = _split_fields(self.raw)
        return self._headers


class ResponseHead:
    """A response's head. Its fields are parsed when somebody asks: framing needs only one."""

    __slots__ = ("_headers", "framing", "plain_for", "raw", "status")

    def __init__(self, raw: bytes, status: int, framing: int) -> None:
        """A head that llhttp accepted."""
        self.raw = raw  # as captured, with the empty line
        self.status = status
        self.framing = framing  # the body's length, CHUNKED or UNTIL_CLOSE; not if to a HEAD
        self.plain_for: object = None  # who has nothing to say to its fields
        self._headers: Headers | None = None

    def take_raw(self, raw: bytes) -> None:
        """`raw` is what was captured; the head was judged, and its fields are read, mended."""
        self._headers = _split_fields(self.raw)
        self.raw = raw

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again."""
        # Looked for in one go first: most say nothing of it, or what nginx says.
        if b"\r\nConnection: keep-alive\r\n" in self.raw:
            return True
        default = self.raw.startswith(b"HTTP/1.1")
        if b"\r\nconnection:" not in self.raw.lower():
            return default
        named = [value for name, value in self.headers if name.lower() == b"connection"]
        return _keeps_alive(b",".join(named), default=default)

    @property
    def headers(self) -> Headers:
        """The fields in order, names as sent."""
        if self._headers is None:
            self._headers = _split_fields(self.raw)
        return self._headers


def parse_request(raw: bytes) -> RequestHead | Malformed:
    """Parses a head that ends with its empty line. The HTTP/2 preface parses as method PRI."""
    line = _match_plain_line(raw)
    if line is None or len(raw) > _CACHED_BYTES:
        return _parse_request(raw)
    known = _judge_fields(raw[line.end() :])
    if known is None:
        return _parse_request(raw)
    method, target = line.groups()
    head = RequestHead(raw, _METHODS[method], target, "1.1")
    head.host = known.host
    head.override = known.override
    head.framing = known.framing
    head.keep_alive = known.keep_alive
    head.expect_continue = known.expect_continue
    head.shared = known
    return head


@lru_cache(_CACHED)
def _judge_fields(fields: bytes) -> RequestHead | None:
    """A plain request with these fields; None when there is anything to say about them."""
    head = _judge_request(b"GET / HTTP/1.1\r\n" + fields)
    return None if isinstance(head, Malformed) or head.upgrade else head


def parse_response(raw: bytes) -> ResponseHead | Malformed:
    """Parses a head that ends with its empty line. Heads of equal bytes may be one object."""
    return _parse_response(raw) if len(raw) > _CACHED_BYTES else _known_response(raw)


def _parse_request(raw: bytes) -> RequestHead | Malformed:
    head = _judge_request(raw)
    if isinstance(head, Malformed):
        mended = mend_request(raw)
        if mended is not None and mended != raw:
            again = _judge_request(mended)
            if isinstance(again, RequestHead):
                line = raw.partition(b"\n")[0].rstrip(b"\r")
                again.take_raw(raw)
                again.method = line.partition(b" ")[0].decode("ascii")
                again.target = line[len(again.method) : -9].strip(b" ")
                return again
    return head


def _judge_request(raw: bytes) -> RequestHead | Malformed:
    # llhttp judges, one search reads what matters: llhttp's callbacks would cost twice as much, and
    # what it accepts has no folding and a colon in every line.
    parser = HttpRequestParser(_SILENT)
    upgrade = False
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        upgrade = True
    except HttpParserError as error:
        return Malformed(f"request head: {error}")
    line = raw[: raw.find(b"\r\n")]
    space = line.find(b" ")
    method = line[:space]
    version = _VERSIONS.get(line[-9:])
    if version is None:
        if method != b"PRI":
            return Malformed("request head: not HTTP/1.0 or HTTP/1.1")
        version = "2.0"
    head = RequestHead(
        raw, _METHODS.get(method) or method.decode("ascii"), line[space:-9].strip(b" "), version
    )
    head.upgrade = upgrade
    head.keep_alive = version == "1.1"
    for name, text in _find_telling(raw):
        value = text.rstrip(b" \t")
        size = len(name)
        if size == 4:
            if head.host is None:
                head.host = value
        elif name[:1] in b"xX":
            head.override += (value.decode("latin-1").upper(),)
        elif size == 10:
            head.keep_alive = _keeps_alive(value, default=head.keep_alive)
        elif size == 14:
            head.framing = int(value)
        elif size == 17:
            head.framing = CHUNKED  # llhttp refuses a request whose last coding is another
            if version == "1.0":  # RFC 9112 6.1: its framing is faulty
                return Malformed("request head: Transfer-Encoding in HTTP/1.0")
        else:
            head.expect_continue = value.lower() == b"100-continue"
    if head.framing > MAX_LENGTH:
        return Malformed("request head: Content-Length overflow")
    return head


def _keeps_alive(connection: bytes, *, default: bool) -> bool:
    options = [option.strip() for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return default or b"keep-alive" in options


def _parse_response(raw: bytes) -> ResponseHead | Malformed:
    head = _judge_response(raw)
    if isinstance(head, Malformed):
        mended = mend_response(raw)
        if mended is not None and mended != raw:
            again = _judge_response(mended)
            if isinstance(again, ResponseHead):
                again.take_raw(raw)
                return again
    return head


@lru_cache(_CACHED)
def _known_response(raw: bytes) -> ResponseHead | Malformed:
    return _parse_response(raw)


def _judge_response(raw: bytes) -> ResponseHead | Malformed:
    parser = HttpResponseParser(_SILENT)  # without callbacks it costs half
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        pass  # the status says so
    except HttpParserError as error:
        return Malformed(f"response head: {error}")
    if not raw.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
        return Malformed("response head: not HTTP/1.0 or HTTP/1.1")
    status: int = parser.get_status_code()
    if status < 100:
        return Malformed("response head: status below 100")
    if status < 200 or status in _NO_BODY:
        return ResponseHead(raw, status, 0)
    # llhttp has refused a second Content-Length, one beside a Transfer-Encoding, and one that is
    # no number, so the usual spelling settles it; any other takes the long way.
    start = raw.find(_CONTENT_LENGTH)
    if start >= 0:
        start += len(_CONTENT_LENGTH)
        framing = int(raw[start : raw.find(b"\r\n", start)])
    else:
        framing = _response_framing(_split_fields(raw))
    if framing > MAX_LENGTH:
        return Malformed("response head: Content-Length overflow")
    return ResponseHead(raw, status, framing)


def _response_framing(headers: Headers) -> int:
    framing = UNTIL_CLOSE
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-length":
            framing = int(value)
        elif lower == b"transfer-encoding":
            last = value.rpartition(b",")[2].strip().lower()
            framing = CHUNKED if last == b"chunked" else UNTIL_CLOSE
    return framing


def _split_fields(raw: bytes) -> Headers:
    """The fields of a head that llhttp accepted: no folding, a colon in every line."""
    fields = []
    for line in raw.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            fields.append((name, value.strip(b" \t\r")))
    return fields
