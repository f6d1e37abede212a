"""Start lines and header fields with their secrets replaced.

A head is built anew from fields that the parser understood: what it did not understand, folding
included, is not in it.
"""

from __future__ import annotations

from typing import Final

from shadow_agent.policy.linear import compile_bytes
from shadow_agent.policy.redact_body import BodyRedactor, Headers
from shadow_agent.policy.redact_text import TextRedactor

# Schemes that say how a credential is made; they stay in front of its token.
_SCHEMES: Final = frozenset({
    b"apikey", b"aws4-hmac-sha256", b"basic", b"bearer", b"digest", b"dpop", b"hawk",
    b"negotiate", b"ntlm", b"token",
})  # fmt: skip
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization"})
# They name schemes too, and say nothing of anybody.
_CHALLENGES: Final = frozenset({b"proxy-authenticate", b"www-authenticate"})
_COOKIE_NAME: Final = compile_bytes(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
# Attributes of RFC 6265 and its successor that say nothing of a person.
_ATTRIBUTES: Final = frozenset({
    b"domain", b"expires", b"httponly", b"max-age", b"partitioned", b"path", b"priority",
    b"samesite", b"secure",
})  # fmt: skip


class HeadRedactor:
    """Redacts targets and fields."""

    __slots__ = ("_body", "_names", "_text")

    def __init__(
        self, text: TextRedactor, body: BodyRedactor, names: frozenset[bytes] = frozenset()
    ) -> None:
        """``names``: fields whose value is replaced beside the usual ones, in lower case."""
        self._text = text
        self._body = body
        self._names = names

    def target(self, target: bytes) -> bytes:
        """Path segments and parameters, each by what it says when it is unquoted."""
        target, sharp, fragment = target.partition(b"#")
        path, question, query = target.partition(b"?")
        scheme, slashes, rest = path.partition(b"://")
        if slashes:
            authority, slash, path = rest.partition(b"/")
            userinfo, at, host = authority.rpartition(b"@")
            if at:
                userinfo = self._text.token("userinfo", userinfo)
            front = scheme + slashes + userinfo + at + self._text.clean(host) + slash
        else:
            front = b""
        path = self._text.path(b"/" + path)[1:]
        segments = [self._segment(segment) for segment in path.split(b"/")]
        done = front + b"/".join(segments) + question + (self._body.form(query) if query else b"")
        return done + sharp + self._text.clean(fragment)

    def _segment(self, segment: bytes) -> bytes:
        """Matrix parameters may be in it (``;jsessionid=…``)."""
        first, semicolon, rest = segment.partition(b";")
        # a plus is itself in a path
        done = self._body.quoted(first.replace(b"+", b"%2B"))
        if done == first.replace(b"+", b"%2B"):
            done = first
        return done + semicolon + (self._body.form(rest) if rest else b"")

    def fields(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Names and values in order."""
        return [(self._text.clean(name), self._value(name, value)) for name, value in headers]

    def _value(self, written: bytes, value: bytes) -> bytes:
        name = written.lower()
        if not value:
            return value
        if name in self._names:
            return self._text.token("header", value)
        if name in _CREDENTIALS:
            return self._credential(value)
        if name == b"cookie":
            return b"; ".join(self._cookie(pair.strip()) for pair in value.split(b";"))
        if name == b"set-cookie":
            return self._set_cookie(value)
        if self._text.is_secret(written.decode("latin-1")):
            return self._text.token("secret", value)
        if name not in _CHALLENGES and value.partition(b" ")[0].lower() in _SCHEMES:
            return self._credential(value)
        return self._text.clean(value)

    def _credential(self, value: bytes) -> bytes:
        scheme, space, rest = value.partition(b" ")
        if space and scheme.lower() in _SCHEMES and rest.strip():
            return scheme + b" " + self._text.token("authorization", rest.strip())
        return self._text.token("authorization", value)

    def _cookie(self, pair: bytes) -> bytes:
        name, equals, value = pair.partition(b"=")
        if not equals or not _COOKIE_NAME.fullmatch(name):
            return self._text.token("cookie", pair) if pair else b""
        return self._text.clean(name) + b"=" + (self._text.token("cookie", value) if value else b"")

    def _set_cookie(self, value: bytes) -> bytes:
        first, *attributes = value.split(b";")
        done = [self._cookie(first.strip())]
        for attribute in attributes:
            name = attribute.partition(b"=")[0].strip().lower()
            if name in _ATTRIBUTES:
                done.append(self._text.clean(attribute.strip()))
            elif attribute.strip():
                done.append(self._text.token("cookie", attribute.strip()))
        return b"; ".join(done)
