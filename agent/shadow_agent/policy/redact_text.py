"""A text with its secrets replaced, also those behind the usual ways to escape characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from shadow_agent.policy.linear import TooManyMatchesError, compile_bytes, find_all
from shadow_agent.policy.redact_credentials import segments
from shadow_agent.policy.redact_names import is_secret
from shadow_agent.policy.redact_pairs import find_pairs
from shadow_agent.policy.redact_token import Tokens
from shadow_agent.policy.redact_values import Span, find, merge

# Percent-encoding, escapes of JSON and JavaScript, references of HTML; the spaces, dashes, letters
# and digits that Unicode has beside ASCII's: U+2000 to U+2015, U+202F, U+FF01 to U+FF5E.
_ESCAPE: Final = compile_bytes(
    rb"%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,6}\}|\\x[0-9A-Fa-f]{2}|\\/"
    rb"|&#[xX][0-9A-Fa-f]{1,6};?|&#[0-9]{1,7};?"
    rb"|&(?:commat|period|plus|dash|hyphen|lowbar|nbsp|lpar|rpar|sol|colon|num|amp);"
    rb"|\xe2\x80[\x80-\x95\xaf]|\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]"
)
_NAMED: Final = {
    b"amp": b"&", b"colon": b":", b"commat": b"@", b"dash": b"-", b"hyphen": b"-", b"lowbar": b"_",
    b"lpar": b"(", b"nbsp": b" ", b"num": b"#", b"period": b".", b"plus": b"+", b"rpar": b")",
    b"sol": b"/",
}  # fmt: skip
# Escapes within escapes; what has more layers is replaced whole.
_LAYERS: Final = 4
# A text of these alone hides nothing, and most are: it spares them the expressions.
_HARMLESS: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ _-/;,*\"'()[]{}"
# Where to look for them: typography in prose hides no number.
_ESCAPING: Final = compile_bytes(rb"[%\\&]|[0-9)]\xe2\x80[\x80-\x95\xaf]|\xef[\xbc\xbd]")
_PAIRING: Final = (b"=", b":", b"<")


class Pattern(NamedTuple):
    """An expression of the operator's; its first group is what is replaced, or all of it."""

    kind: str
    expression: Any


class TextRedactor:
    """Redacts one text after the other; holds nothing of them."""

    __slots__ = ("_patterns", "_tokens", "names")

    def __init__(
        self, tokens: Tokens, patterns: Sequence[Pattern] = (), names: frozenset[str] = frozenset()
    ) -> None:
        """``names``: fields that are secret beside the usual ones, in lower case."""
        self._tokens = tokens
        self._patterns = tuple(patterns)
        self.names = names

    def is_secret(self, name: str) -> bool:
        """Whether a parameter, field or member of that name is replaced whatever it holds."""
        return name.lower() in self.names or is_secret(name)

    def token(self, kind: str, value: bytes) -> bytes:
        """A value's token."""
        return self._tokens(kind, value)

    def lines(self, text: bytes) -> bytes:
        """A text line by line, so that one odd line does not cost all of them."""
        if self._patterns:  # theirs may reach across lines
            text = self._plain(text)
        return b"\n".join(self.clean(line) for line in text.split(b"\n"))

    def clean(self, text: bytes) -> bytes:
        """The text without secrets; whole a token when they are hidden by escapes, or too many."""
        if not (self._patterns or text.translate(None, _HARMLESS) or _may_be_credential(text)):
            return text
        done = self._plain(text)
        if _ESCAPING.search(text) is None:
            return done
        loose = done
        for _ in range(_LAYERS):
            before, loose = loose, _unescape(loose)
            if loose == before:
                return done
            if self._plain(loose) != loose:
                return self._tokens("encoded", text)
        return self._tokens("encoded", text)

    def _plain(self, text: bytes) -> bytes:
        try:
            spans = find(text)
            if any(one in text for one in _PAIRING):
                spans += find_pairs(text, self.is_secret)
            for kind, expression in self._patterns:
                group = 1 if expression.groups else 0
                for match in find_all(expression, text):
                    start, end = match.span(group)
                    spans.append(Span(start, end, kind) if end > start else _whole(match, kind))
        except TooManyMatchesError:
            return self._tokens("crowded", text)
        return self._replace(text, spans)

    def path(self, path: bytes) -> bytes:
        """Segments of a path that are tokens replaced; `clean` says what the others are."""
        try:
            return self._replace(path, [Span(*one) for one in segments(path)])
        except TooManyMatchesError:
            return self._tokens("crowded", path)

    def _replace(self, text: bytes, spans: list[Span]) -> bytes:
        if not spans:
            return text
        spans.sort()
        pieces: list[bytes] = []
        at = 0
        for start, end, kind in merge(spans):
            value = text[start:end]
            pieces += (text[at:start], self._tokens(kind, value))
            at = end
        pieces.append(text[at:])
        return b"".join(pieces)


def _may_be_credential(text: bytes) -> bool:
    """Of letters alone, as of little else: ``Basic dTpw``, a segment of a path."""
    return b" " in text and (b"asic " in text or b"earer " in text or b"egotiate " in text)


def _whole(match: Any, kind: str) -> Span:
    return Span(match.start(), match.end(), kind)


def _unescape(text: bytes) -> bytes:
    """One layer of escapes taken off."""
    return bytes(_ESCAPE.sub(_character, text))


def _character(match: Any) -> bytes:
    found: bytes = match.group()
    if found[:1] == b"%":
        return bytes((int(found[1:], 16),))
    if found[:2] == b"\\/":
        return b"/"
    if found[:1] == b"\\":
        return _encode(int(found[2:].strip(b"{}"), 16))
    if found[:1] == b"\xe2":
        return b"-" if 0x90 <= found[2] <= 0x95 else b" "
    if found[:1] == b"\xef":
        return bytes((ord(found.decode()) - 0xFF01 + 0x21,))
    if found[:2] == b"&#":
        digits = found[2:].rstrip(b";")
        return _encode(int(digits[1:], 16) if digits[:1] in b"xX" else int(digits))
    return _NAMED[found[1:-1]]


def _encode(number: int) -> bytes:
    """UTF-8 of a code point; a lone surrogate or a number beyond Unicode hides nothing."""
    try:
        return chr(number).encode()
    except (UnicodeEncodeError, ValueError, OverflowError):
        return b"?"
