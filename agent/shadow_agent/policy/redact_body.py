"""A body with its secrets replaced, or withheld whole by name: what cannot be read is not kept."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from shadow_agent.policy.redact_json import JsonRedactor, WithheldError
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.telemetry.reasons import Withheld

Headers = Sequence[tuple[bytes, bytes]]

# Bytes of a body, packed or unpacked, that are looked at. Over it: withheld.TOO_LARGE.
MAX_BODY: Final = 64 * 1024
_MAX_CODINGS: Final = 3
_CHARSETS: Final = frozenset({
    "ascii", "iso-8859-1", "iso-8859-15", "latin1", "us-ascii", "utf-8", "utf8", "windows-1252",
})  # fmt: skip
_TEXT: Final = frozenset({
    "", "application/ecmascript", "application/graphql", "application/javascript",
    "application/x-javascript", "application/xhtml+xml", "application/xml", "application/yaml",
    "image/svg+xml",
})  # fmt: skip
_JSON_LINES: Final = frozenset({
    "application/jsonl", "application/jsonlines", "application/ndjson", "application/x-jsonlines",
    "application/x-ndjson",
})  # fmt: skip
_FORM: Final = "application/x-www-form-urlencoded"
_BOM: Final = b"\xef\xbb\xbf"
# Control characters that no text has.
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))


class Body(NamedTuple):
    """What may be stored of a body."""

    data: bytes  # unpacked; a token when it is withheld
    withheld: Withheld | None
    unpacked: bool  # a content coding was taken off


class BodyRedactor:
    """Reads bodies by what their head says they are."""

    __slots__ = ("_json", "_max", "_text")

    def __init__(self, text: TextRedactor, json: JsonRedactor, max_body: int = MAX_BODY) -> None:
        """``max_body``: bytes that are looked at, packed or not."""
        self._text = text
        self._json = json
        self._max = max_body

    def redact(self, headers: Headers, body: bytes | None, *, whole: bool = True) -> Body:
        """``body`` is after chunked decoding; None if it was not kept; ``whole``: to its end."""
        if body is None:
            return Body(b"", Withheld.NOT_KEPT, unpacked=False)
        if not body:
            return Body(b"", None, unpacked=False)
        if not whole:
            return Body(self._text.token("body", body), Withheld.INCOMPLETE, unpacked=False)
        try:
            data = self._unpack(headers, body)
            return Body(self._redact(headers, data), None, data is not body)
        except WithheldError as error:
            return Body(self._text.token("body", body), error.reason, unpacked=False)

    def _redact(self, headers: Headers, data: bytes) -> bytes:
        kind, charset = _content_type(headers)
        if charset not in _CHARSETS:
            raise WithheldError(Withheld.CHARSET)
        data = data.removeprefix(_BOM)
        if kind == "application/json" or kind.endswith(("+json", "/json")):
            return self._json.redact(data)
        if kind in _JSON_LINES:
            lines = data.split(b"\n")
            return b"\n".join(self._json.redact(line) if line.strip() else b"" for line in lines)
        if kind == _FORM:
            return self.form(data)
        if not (kind in _TEXT or kind.startswith("text/") or kind.endswith("+xml")):
            raise WithheldError(Withheld.BINARY)
        if data.translate(None, _CONTROLS) != data:
            raise WithheldError(Withheld.BINARY)
        if b"content-disposition: form-data" in data.lower():  # multipart by another name
            raise WithheldError(Withheld.BINARY)
        # Senders err about types: what looks like JSON or a form is read as such.
        if data.lstrip()[:1] in (b"{", b"["):
            return self._json.redact(data)
        if b"=" in data and data.translate(None, b" <>\r\n\t") == data:
            return self.form(data)
        return self._text.lines(data)

    def form(self, data: bytes) -> bytes:
        """``name=value&…``: a form's body, or the query of a target."""
        return b"&".join(self._pair(pair) for pair in data.split(b"&"))

    def _pair(self, pair: bytes) -> bytes:
        if b";" in pair:  # some servers separate by it
            return b";".join(self._pair(part) for part in pair.split(b";"))
        name, equals, value = pair.partition(b"=")
        plain_name = unquote(name)
        if value and self._text.is_secret(plain_name.decode("utf-8", "replace")):
            value = self._text.token("secret", unquote(value))
        else:
            value = self.quoted(value)
        return self.quoted(name) + equals + value

    def quoted(self, value: bytes) -> bytes:
        """A percent-encoded value with what it says redacted; as it was if nothing is."""
        if not value:
            return value
        plain = unquote(value)
        done = self._text.clean(plain)
        if done != plain:
            return quote(done)
        if b"+" not in value:
            return value
        # many clients leave a plus as it is, where it stands for a space: +49 30 1234567
        plain = unquote(value.replace(b"+", b"%2B"))
        done = self._text.clean(plain)
        return value if done == plain else quote(done)

    def _unpack(self, headers: Headers, body: bytes) -> bytes:
        if len(body) > self._max:
            raise WithheldError(Withheld.TOO_LARGE)
        codings = _list(headers, b"content-encoding") + [
            coding for coding in _list(headers, b"transfer-encoding") if coding != "chunked"
        ]
        codings = [coding for coding in codings if coding not in ("", "identity")]
        if len(codings) > _MAX_CODINGS:
            raise WithheldError(Withheld.CODING)
        for coding in reversed(codings):
            body = self._inflate(coding, body)
        return body

    def _inflate(self, coding: str, body: bytes) -> bytes:
        if coding in ("gzip", "x-gzip"):
            bits = 16 + zlib.MAX_WBITS
        elif coding == "deflate":  # zlib's wrapping, and without it, as some send it
            bits = zlib.MAX_WBITS if body[:1] and (body[0] & 0x0F) == 8 else -zlib.MAX_WBITS
        else:
            raise WithheldError(Withheld.CODING)
        inflater = zlib.decompressobj(bits)
        try:
            data = inflater.decompress(body, self._max + 1)
        except zlib.error as error:
            raise WithheldError(Withheld.CODING) from error
        if len(data) > self._max:
            raise WithheldError(Withheld.TOO_LARGE)
        if not inflater.eof or inflater.unused_data:
            raise WithheldError(Withheld.CODING)
        return data


def unquote(value: bytes) -> bytes:
    """Percent-encoding and ``+`` undone."""
    from_plus = value.replace(b"+", b" ")
    if b"%" not in from_plus:
        return from_plus
    first, *pieces = from_plus.split(b"%")
    out = [first]
    for piece in pieces:
        byte = _HEX.get(piece[:2].lower())
        out += (b"%", piece) if byte is None else (byte, piece[2:])
    return b"".join(out)


_HEX: Final = {b"%02x" % byte: bytes((byte,)) for byte in range(256)}
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_QUOTED: Final = [bytes((b,)) if b in _UNRESERVED else b"%%%02X" % b for b in range(256)]


def quote(value: bytes) -> bytes:
    """Everything but unreserved characters percent-encoded."""
    return b"".join([_QUOTED[byte] for byte in value])


def _list(headers: Headers, name: bytes) -> list[str]:
    """The members of a list field, in lower case."""
    return [
        one.strip().lower()
        for field, value in headers
        if field.lower() == name
        for one in value.decode("latin-1").split(",")
    ]


def _content_type(headers: Headers) -> tuple[str, str]:
    """Type and character set in lower case; what contradicts itself is an unknown type."""
    found = {value.strip().lower() for name, value in headers if name.lower() == b"content-type"}
    if len(found) > 1:
        return "?", "utf-8"
    kind, *parameters = (found.pop() if found else b"").decode("latin-1").split(";")
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            charset = value.strip().strip("\"'")
    return kind.strip(), charset or "utf-8"
