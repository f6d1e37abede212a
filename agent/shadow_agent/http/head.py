"""One request or response head → RequestHead or ResponseHead.

A head is fed whole to a fresh llhttp parser, which costs the same as reusing one and keeps no
state that one message could leave for the next. Bodies never reach llhttp: it cannot be told that
a response answers HEAD, and would copy every body.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

Headers = list[tuple[bytes, bytes]]

# Framing of a body: its length in bytes, or one of these.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_VERSIONS: Final = {b" HTTP/1.1": "1.1", b" HTTP/1.0": "1.0"}
# Spares the decoding of what nearly every request says.
_METHODS: Final = {b"GET": "GET", b"HEAD": "HEAD", b"POST": "POST", b"PUT": "PUT"}
_CONTENT_LENGTH: Final = b"\r\nContent-Length: "
_SILENT: Final = object()
_NO_BODY: Final = frozenset({204, 304})


class Malformed(NamedTuple):
    """Why a head is none; one line that holds no bytes from the wire."""

    reason: str


class RequestHead:
    """A request's head."""

    __slots__ = (
        "expect_continue",
        "framing",
        "headers",
        "host",
        "keep_alive",
        "method",
        "raw",
        "target",
        "upgrade",
        "version",
    )

    def __init__(self, raw: bytes, method: str, target: bytes, version: str) -> None:
        """A head whose request line was accepted."""
        self.raw = raw  # as captured, with the empty line
        self.method = method
        self.target = target
        self.version = version  # "1.1" or "1.0"
        self.headers: Headers = []  # in order, names as sent
        self.host: bytes | None = None  # the first Host field's value
        self.framing = 0  # the body's length, or CHUNKED
        self.keep_alive = True
        self.expect_continue = False
        self.upgrade = False  # asks for another protocol, or is a CONNECT


class ResponseHead:
    """A response's head. Its fields are parsed when somebody asks: framing needs only one."""

    __slots__ = ("_headers", "framing", "raw", "status")

    def __init__(self, raw: bytes, status: int, framing: int) -> None:
        """A head that llhttp accepted."""
        self.raw = raw  # as captured, with the empty line
        self.status = status
        self.framing = framing  # the body's length, CHUNKED or UNTIL_CLOSE; not if to a HEAD
        self._headers: Headers | None = None

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
    # llhttp judges, plain splitting reads: its callbacks would cost 0.6 µs of the 1.2 µs that this
    # takes, and what it accepts has no folding and a colon in every line.
    parser = HttpRequestParser(_SILENT)
    upgrade = False
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        upgrade = True
    except HttpParserError as error:
        strict = _with_crlf(raw)
        if strict == raw:
            return Malformed(f"request head: {error}")
        again = parse_request(strict)
        if isinstance(again, RequestHead):
            again.raw = raw
        return again
    lines = raw.split(b"\r\n")
    line = lines[0]
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
    headers = head.headers
    for line in lines[1:-2]:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        headers.append((name, value))
        # Names are told apart by length first: lower() on every name costs more than the rest.
        size = len(name)
        if size == 4:
            if head.host is None and name.lower() == b"host":
                head.host = value
        elif size == 10:
            if name.lower() == b"connection":
                head.keep_alive = _keeps_alive(value, default=head.keep_alive)
        elif size == 14 and name.lower() == b"content-length":
            head.framing = int(value)
        elif size == 17 and name.lower() == b"transfer-encoding":
            head.framing = CHUNKED  # llhttp refuses a request whose last coding is another
        elif size == 6 and name.lower() == b"expect":
            head.expect_continue = value.lower() == b"100-continue"
    return head


def _keeps_alive(connection: bytes, *, default: bool) -> bool:
    options = [option.strip() for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return default or b"keep-alive" in options


def parse_response(raw: bytes) -> ResponseHead | Malformed:
    """Parses a head that ends with its empty line."""
    parser = HttpResponseParser(_SILENT)  # without callbacks it costs half
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        pass  # the status says so
    except HttpParserError as error:
        strict = _with_crlf(raw)
        if strict == raw:
            return Malformed(f"response head: {error}")
        again = parse_response(strict)
        if isinstance(again, ResponseHead):
            again.raw = raw
        return again
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
        return ResponseHead(raw, status, int(raw[start : raw.find(b"\r\n", start)]))
    return ResponseHead(raw, status, _response_framing(_split_fields(raw)))


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


def _with_crlf(raw: bytes) -> bytes:
    """A head whose lines end with bare line feeds, as llhttp wants it; its CRLFs stay."""
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
