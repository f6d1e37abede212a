"""An exchange as one line of JSON, in pure ASCII, for programs and safe for terminals.

The line is put together from bytes that are escaped already: 1.5 µs, where a dict and a JSON
encoder take 4. Strings are the bytes on the wire read as Latin-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.flow.segment import format_endpoint, format_flow
from shadow_agent.http.exchange import EMPTY_SHA256

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shadow_agent.http.exchange import Exchange

# What JSON and a terminal take as it is: printable ASCII but for the quote and the backslash.
_PLAIN: Final = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
_CODES: Final = {
    code: f"\\u{code:04x}" for code in range(256) if code not in _PLAIN and code not in b'"\\'
} | {0x22: '\\"', 0x5C: "\\\\"}
_NULL: Final = b"null"
_EMPTY: Final = b'0,"%b_body_sha256":"' + EMPTY_SHA256.hex().encode() + b'"'
_EMPTY_REQUEST: Final = _EMPTY % b"request"
_EMPTY_RESPONSE: Final = _EMPTY % b"response"
_NO_REQUEST_BODY: Final = b'null,"request_body_sha256":null'
_NO_RESPONSE_BODY: Final = b'null,"response_body_sha256":null'
_NS: Final = 1_000_000_000
# Entries of each cache, of at most _CACHED_BYTES each: some megabytes. Over it: begun afresh.
_CACHED: Final = 8192
_CACHED_BYTES: Final = 256


class LineFormatter:
    """Remembers what many lines have in common, within bounds."""

    __slots__ = ("_bodies", "_flows", "_hosts", "_methods")

    def __init__(self) -> None:
        """Nothing is remembered."""
        self._flows: dict[bytes, bytes] = {}
        self._bodies: dict[bytes, bytes] = {}
        self._methods: dict[str, bytes] = {}
        self._hosts: dict[bytes | None, bytes] = {}

    def line(self, exchange: Exchange) -> bytes:
        """The exchange's line with its line feed; it must have ended, and its request too."""
        request, response = exchange.request, exchange.response
        key = exchange.flow_key
        flow = self._flows.get(key) or self._name_flow(key)
        host = self._hosts.get(request.host) or self._name_host(request.host)
        target = request.target
        if target.translate(None, _PLAIN):
            target = quoted(target)
        length = exchange.request_body_len
        if length == 0:
            sent = _EMPTY_REQUEST
        elif length is None:
            sent = _NO_REQUEST_BODY
        else:
            digest = exchange.request_body_sha256 or b""
            sent = b'%d,"request_body_sha256":"%b"' % (length, digest.hex().encode())
        length = exchange.response_body_len
        if length == 0:
            got = _EMPTY_RESPONSE
        elif length is None:
            got = _NO_RESPONSE_BODY
        elif length <= _CACHED_BYTES and (body := exchange.response_body) is not None:
            got = self._bodies.get(body) or self._name_body(exchange, length, body)
        else:
            got = _response_body(exchange, length)
        return (
            b'%b%b","target":"%b",%b"version":"%b","request_body_len":%b,"status":%b,'
            b'"response_body_len":%b,"request_ts":%b,"notes":%b%b}\n'
        ) % (
            flow,
            self._methods.get(request.method) or self._name_method(request.method),
            target,
            host,
            request.version.encode(),
            sent,
            _NULL if response is None else b"%d" % response.status,
            got,
            _times(exchange),
            b"[]" if exchange.notes is None else _notes(exchange.notes),
            b"" if exchange.origin is None else _client(exchange),
        )

    def _name_flow(self, key: bytes) -> bytes:
        if len(self._flows) >= _CACHED:
            self._flows.clear()
        made = self._flows[key] = b'{"flow":"%b","method":"' % format_flow(key).encode()
        return made

    def _name_method(self, method: str) -> bytes:
        made = quoted(method.encode("latin-1", "backslashreplace"))
        if len(self._methods) < _CACHED and len(made) <= _CACHED_BYTES:
            self._methods[method] = made
        return made

    def _name_body(self, exchange: Exchange, length: int, body: bytes) -> bytes:
        if len(self._bodies) >= _CACHED:
            self._bodies.clear()
        made = self._bodies[body] = _response_body(exchange, length)
        return made

    def _name_host(self, host: bytes | None) -> bytes:
        made = b'"host":null,' if host is None else b'"host":"%b",' % quoted(host)
        if host is None or len(host) <= _CACHED_BYTES:
            if len(self._hosts) >= _CACHED:
                self._hosts.clear()
            self._hosts[host] = made
        return made


def quoted(raw: bytes) -> bytes:
    """The bytes as Latin-1 inside a JSON string; whatever is no printable ASCII is escaped."""
    if not raw.translate(None, _PLAIN):
        return raw
    return raw.decode("latin-1").translate(_CODES).encode("ascii")


def _response_body(exchange: Exchange, length: int) -> bytes:
    digest = exchange.response_body_sha256 or b""
    return b'%d,"response_body_sha256":"%b"' % (length, digest.hex().encode())


def _notes(notes: Iterable[str]) -> bytes:
    return b'["%b"]' % b'","'.join(_texts(notes))


def _client(exchange: Exchange) -> bytes:
    """Who a PROXY preamble says the client is, when that is not the flow's own end."""
    address, port = exchange.client
    key = exchange.flow_key
    if (address, port.to_bytes(2, "big")) == (key[:16], key[32:34]):
        return b""
    return b',"client":"%b"' % format_endpoint(address, port).encode()


def _texts(texts: Iterable[str]) -> Iterable[bytes]:
    return (quoted(text.encode("latin-1", "backslashreplace")) for text in texts)


def _times(exchange: Exchange) -> bytes:
    started, asked = exchange.request_started_ts, exchange.request_ended_ts
    first, last = exchange.response_first_ts, exchange.response_last_ts
    if asked is None or first is None or last is None or not 0 <= started <= asked <= first <= last:
        return b'%b,"first_byte_us":%b,"last_byte_us":%b' % (
            _seconds(started),
            _micros(asked, first),
            _micros(asked, last),
        )
    # The usual case in one go, which takes half as long.
    first -= asked
    last -= asked
    return b'%d.%09d,"first_byte_us":%d.%03d,"last_byte_us":%d.%03d' % (
        started // _NS,
        started % _NS,
        first // 1000,
        first % 1000,
        last // 1000,
        last % 1000,
    )


def _seconds(ns: int) -> bytes:
    """Nanoseconds as seconds, all nine digits: a float would round them."""
    if ns < 0:
        return b"-" + _seconds(-ns)
    return b"%d.%09d" % divmod(ns, _NS)


def _micros(start: int | None, end: int | None) -> bytes:
    if start is None or end is None:
        return _NULL
    # an early answer begins before the request has ended: it took no time after it
    return b"%d.%03d" % divmod(end - start, 1000) if end > start else b"0.000"
