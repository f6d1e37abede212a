"""Where in a text a value stands beside a secret's name: ``name=value`` and the like.

Also ``name: value`` and ``"name": "value"`` (logs, YAML, scripts, JSON within a text), elements
``<name>value</name>``, and what HTML hides in ``<input name=… value=…>`` and ``<meta …>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from shadow_agent.policy.linear import MAX_MATCHES, TooManyMatchesError, compile_bytes
from shadow_agent.policy.redact_token import TOKEN
from shadow_agent.policy.redact_values import Span

# One more than a name may have: its value is a secret then.
_NAME: Final = rb"[A-Za-z0-9_.\-\[\]%]{1,257}"
# A name and what stands between it and its value. The value is looked at by itself, because it
# may have names in it too: url=/next?token=…
_BEFORE: Final = compile_bytes(rb"(" + _NAME + rb")\\{0,8}[\"']?[ \t]{0,8}(?::|=>?)[ \t]{0,8}")
_QUOTED: Final = compile_bytes(rb"\\{0,8}(?:\"((?:[^\"\\\n]|\\[^\n])*)|'((?:[^'\\\n]|\\[^\n])*))")
_AFTER_EQUALS: Final = compile_bytes(rb"[^&;#\s\"'<>]+")
_SCHEMES: Final = rb"(?:(?:[Bb]earer|[Bb]asic|[Dd]igest|[Nn]egotiate|[Tt]oken)[ \t]+)?"
_AFTER_COLON: Final = compile_bytes(_SCHEMES + rb"[^\s\"'<>]+")
# Fields of heads that hold several things: all of the line.
_OF_LINE: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
_LINE: Final = compile_bytes(rb"[^\r\n\"'<>]+")
# {"name": "password", "value": "…"} within a text: a value beside its name's value.
_QUOTE: Final = rb"\\{0,8}[\"']"
_ROW: Final = compile_bytes(
    rb"(?i)\b(?:name|key|field|id)(?:" + _QUOTE + rb")?\s*:\s*" + _QUOTE + rb"(" + _NAME + rb")"
    + _QUOTE + rb"\s*,\s*(?:" + _QUOTE + rb")?(?:val|value|content|data)(?:" + _QUOTE
    + rb")?\s*:[ \t]{0,8}"
)  # fmt: skip
_ELEMENT: Final = compile_bytes(
    rb"<(?:[A-Za-z0-9_.\-]+:)?(" + _NAME + rb")(?:\s[^<>]*)?>\s*(?:<!\[CDATA\[)?([^<]+)"
)
_TAG: Final = compile_bytes(rb"(?i)<(?:input|meta)\s[^<>]+")
_NAMED: Final = compile_bytes(rb"(?i)[\s\"'](?:name|id|property)\s*=\s*[\"']?(" + _NAME + rb")")
_HELD: Final = compile_bytes(
    rb"(?i)[\s\"'](?:value|content)\s*=\s*(?:\"([^\"]+)|'([^']+)|([^\s\"'>]+))"
)
# As of members of JSON: without a value there is nothing to hide.
_SAYS_NOTHING: Final = frozenset({b"", b"false", b"null", b"true"})


def find_pairs(text: bytes, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """The values, in no order; what is a token already stays one.

    TooManyMatchesError when there are more than anybody should keep.
    """
    count = 0
    for start, end in _found(text, is_secret):
        value = text[start:end]
        if value.rstrip(b",;)]}") not in _SAYS_NOTHING and not TOKEN.fullmatch(value):
            count += 1
            if count > MAX_MATCHES:
                raise TooManyMatchesError
            yield Span(start, end, "secret")


def _found(text: bytes, is_secret: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    if b"=" in text or b":" in text:
        reached = 0  # each byte is looked at once, however many names are in a value
        for before in _BEFORE.finditer(text):
            name = _plain(before.group(1))
            if before.start() >= reached and is_secret(name):
                bare = _AFTER_EQUALS
                if b":" in before.group():
                    bare = _LINE if name.lower() in _OF_LINE else _AFTER_COLON
                start, reached = _value(text, before.end(), bare)
                yield start, reached
        for row in _ROW.finditer(text):
            if is_secret(_plain(row.group(1))):
                yield _value(text, row.end(), _AFTER_COLON)
    if b"<" not in text:
        return
    for element in _ELEMENT.finditer(text):
        if is_secret(_plain(element.group(1))):
            yield element.span(2)
    for tag in _TAG.finditer(text):
        said, held = _NAMED.search(tag.group()), _HELD.search(tag.group())
        if said is not None and held is not None and is_secret(_plain(said.group(1))):
            start, end = held.span(held.lastindex or 0)
            yield tag.start() + start, tag.start() + end


def _value(text: bytes, at: int, unquoted: Any) -> tuple[int, int]:
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        start, end = quoted.span(quoted.lastindex or 0)
        return start, end
    bare = unquoted.match(text, at)
    return (at, at) if bare is None else bare.span()


def _plain(name: bytes) -> str:
    return unquote_to_bytes(name).decode("utf-8", "replace")
