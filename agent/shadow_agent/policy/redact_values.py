"""Where in a text there is an e-mail address, a card or phone number, an IBAN, or a credential.

Every expression runs in RE2, whose time is linear in the text, and what follows in Python looks
at each position a bounded number of times. Texts are bytes: UTF-8 or any other superset of ASCII.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from shadow_agent.policy.linear import compile_bytes, find_all
from shadow_agent.policy.redact_credentials import SUSPICIOUS, credentials
from shadow_agent.policy.redact_numbers import iban_end, numbers


class Span(NamedTuple):
    """A stretch of a text, and what it is."""

    start: int
    end: int
    kind: str


# RFC 5322's dot-atom and quoted local parts, UTF-8 as RFC 6532 has it; a domain with a dot, or an
# address literal.
_EMAIL: Final = compile_bytes(
    rb"(?:\"[^\"\r\n]{1,64}\"|[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\x80-\xff-]+)"
    rb"(?:@|%40)"
    rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\x80-\xff-]+(?:\.[A-Za-z0-9\x80-\xff-]+)+)"
)
_USERINFO: Final = compile_bytes(rb"://([^/?#\s@\"'<>]+)@")
# Seven digits, with a little between them: a card or phone number may be there, or an IBAN.
_SEVEN: Final = rb"[0-9](?:(?:[ ()._\-/+\t]|\xc2?\xa0|%20){0,3}[0-9]){6}"
_DIGITS: Final = compile_bytes(_SEVEN)
_IBAN: Final = compile_bytes(rb"(?:^|[^0-9A-Za-z])([A-Za-z]{2}[0-9]{2})")
# No credential is there without one of those, and nothing without one of these.
_CREDENTIAL: Final = compile_bytes(SUSPICIOUS)
_SUSPICIOUS: Final = compile_bytes(rb"[@%]|[A-Za-z]{2}[0-9]{2}|" + _SEVEN + rb"|" + SUSPICIOUS)


def find(text: bytes) -> list[Span]:
    """Every value, from left to right; where two overlap, one span that covers both.

    TooManyMatchesError when there are more than anybody should keep.
    """
    if _SUSPICIOUS.search(text) is None:
        return []
    return merge(sorted(_find(text)))


def _find(text: bytes) -> Iterator[Span]:
    if b"@" in text or b"%40" in text:
        for match in find_all(_USERINFO, text):
            yield Span(match.start(1), match.end(1), "userinfo")
        for match in find_all(_EMAIL, text):
            yield Span(match.start(), match.end(), "email")
    if _CREDENTIAL.search(text) is not None:
        for start, end, kind in credentials(text):
            yield Span(start, end, kind)
    if _DIGITS.search(text) is not None:
        for start, end, kind in numbers(text):
            yield Span(start, end, kind)
    for match in find_all(_IBAN, text):
        start = match.start(1)
        end = iban_end(text, start)
        if end:
            yield Span(start, end, "iban")


def merge(spans: list[Span]) -> list[Span]:
    """Sorted spans with those that overlap joined; the longer one gives the kind."""
    merged: list[Span] = []
    for span in spans:
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            longer = span if span.end - span.start > last.end - last.start else last
            merged[-1] = Span(last.start, max(last.end, span.end), longer.kind)
        else:
            merged.append(span)
    return merged
