"""What may be stored or shown of a message: heads and bodies with their secrets replaced.

Default rules replace the values of fields, parameters and members whose name says that they are
secret (``Authorization``, ``Cookie``, API keys, passwords, …), and wherever they stand e-mail
addresses, card numbers, IBANs, JWTs and phone numbers. Rules of the operator add to them; nothing
takes away from them. What cannot be inspected is withheld whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from shadow_agent.http.head import RequestHead, ResponseHead
from shadow_agent.policy.jsonpath import Path
from shadow_agent.policy.redact_body import MAX_BODY, BodyRedactor
from shadow_agent.policy.redact_head import HeadRedactor
from shadow_agent.policy.redact_json import JsonRedactor
from shadow_agent.policy.redact_text import Pattern, TextRedactor
from shadow_agent.policy.redact_token import Tokens
from shadow_agent.telemetry.reasons import Withheld


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """The operator's, beside the defaults. Names in lower case."""

    headers: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()  # of forms and queries
    paths: tuple[Path, ...] = ()
    patterns: tuple[Pattern, ...] = ()


class Message(NamedTuple):
    """A redacted message."""

    start: bytes  # request or status line, without its end
    headers: list[tuple[bytes, bytes]]
    body: bytes  # unpacked and unchunked; a token when withheld
    withheld: Withheld | None
    unpacked: bool  # its content coding was taken off

    def wire(self) -> bytes:
        """As HTTP/1.1 that frames it by its length, whatever framed the original."""
        drop = {b"content-length", b"transfer-encoding", b"trailer"}
        if self.unpacked or self.withheld is not None:
            drop.add(b"content-encoding")
        lines = [self.start]
        lines += [b"%b: %b" % field for field in self.headers if field[0].lower() not in drop]
        if self.body or any(name.lower() in drop for name, _ in self.headers):
            lines.append(b"Content-Length: %d" % len(self.body))
        if self.withheld is not None:
            lines.append(b"X-Shadow-Withheld: " + self.withheld.value.encode())
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


class Redactor:
    """Redacts messages with one key and one set of rules. Bounded time for hostile messages."""

    __slots__ = ("_body", "_head", "_text")

    def __init__(
        self, key: bytes, rules: RedactionRules = RedactionRules(), max_body: int = MAX_BODY
    ) -> None:
        """``key``: 32 bytes or more (ValueError); ``max_body``: bytes that are looked at."""
        self._text = TextRedactor(Tokens(key), rules.patterns, rules.fields)
        self._body = BodyRedactor(self._text, JsonRedactor(self._text, rules.paths), max_body)
        headers = frozenset(name.lower().encode("latin-1", "replace") for name in rules.headers)
        self._head = HeadRedactor(self._text, self._body, headers)

    def token(self, kind: str, value: bytes) -> bytes:
        """What stands for a value that is no part of a message."""
        return self._text.token(kind, value)

    def request(self, head: RequestHead, body: bytes | None, *, whole: bool = True) -> Message:
        """``body``: after chunked decoding, None if it was not kept; ``whole``: to its end."""
        method = self._text.clean(head.method.encode("latin-1", "replace"))
        target = self._head.target(head.target)
        start = b"%b %b HTTP/%b" % (method, target, head.version.encode())
        done = self._body.redact(head.headers, body, whole=whole)
        return Message(start, self._head.fields(head.headers), *done)

    def response(self, head: ResponseHead, body: bytes | None, *, whole: bool = True) -> Message:
        """As `request`. The reason phrase is the standard's, not what was sent."""
        try:
            phrase = HTTPStatus(head.status).phrase.encode()
        except ValueError:
            phrase = b"-"
        start = b"HTTP/1.1 %d %b" % (head.status, phrase)
        done = self._body.redact(head.headers, body, whole=whole)
        return Message(start, self._head.fields(head.headers), *done)
