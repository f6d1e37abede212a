"""Credentials that nothing names: behind a scheme (``Bearer x``), JWTs, tokens in a path."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import orjson

from shadow_agent.policy.linear import compile_bytes, find_all
from shadow_agent.policy.redact_names import is_secret
from shadow_agent.policy.redact_token import TOKEN

# A word behind them is prose; what is a token has digits, signs or capitals within, or is long.
_SCHEME: Final = compile_bytes(
    rb"(?i)\b(bearer|basic|dpop|negotiate|ntlm|token)[ \t]+([A-Za-z0-9._~+/\-]{4,}=*)"
)
_PROSE: Final = compile_bytes(rb"(?:[A-Z]?[a-z]{0,19}|[A-Z]{1,19})[.=]?")
# Its parameters, of which one answers a challenge; a challenge's nonce goes by its name.
_DIGEST: Final = compile_bytes(
    rb"(?i)\bdigest[ \t]+((?:[a-z]+\*?[ \t]*=[ \t]*(?:\\{0,8}\"[^\"\\]*\\{0,8}\"|[^\s\",]+)"
    rb"[ \t]*,?[ \t]*)+)"
)
# A JWS has three parts and a JWE five; the first is base64url of `{"`.
_JWT: Final = compile_bytes(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){1,3}")
# The same, for what a brace and white space before or behind it begin with.
_ANY_JWT: Final = compile_bytes(
    rb"(?:^|[^A-Za-z0-9_-])((?:e[w-z0-9_-]|I[A-P]|C[Q-v]|D[Q-f])[A-Za-z0-9_-]{6,}\."
    rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){1,3})"
)
# A segment of a path, perhaps as long as a token is that nobody guesses, and the one before.
_SEGMENT: Final = compile_bytes(rb"(?:/([A-Za-z0-9_.\-]{1,64}))?/([A-Za-z0-9_~\-]{16,})")
_RANDOM_MIN: Final = 20
_DIGIT: Final = compile_bytes(rb"[0-9]")
_MIXED: Final = frozenset(b"Aa0")
_KINDS: Final = bytes(
    ord("A" if 65 <= c <= 90 else "a" if 97 <= c <= 122 else "0" if 48 <= c <= 57 else "-")
    for c in range(256)
)
# From base64url to base64.
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")

# None of the above is there without one of these.
SUSPICIOUS: Final = (
    rb"eyJ|(?i:earer|asic|dpop|negotiate|ntlm|token|digest)[ \t]|/[A-Za-z0-9_~\-]{16}"
    rb"|(?:e[w-z0-9_-]|I[A-P]|C[Q-v]|D[Q-f])[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\."
)


def credentials(text: bytes) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of each; they may overlap."""
    for match in find_all(_SCHEME, text):
        if _is_credential(match.group(1).lower(), match.group(2)):
            yield (*match.span(2), "authorization")
    for match in find_all(_DIGEST, text):
        if b"response" in match.group(1).lower():
            yield (*match.span(1), "authorization")
    for match in find_all(_JWT, text):
        yield (*match.span(), "jwt")
    for match in find_all(_ANY_JWT, text):
        if _is_object(match.group(1).partition(b".")[0]):
            yield (*match.span(1), "jwt")
    yield from segments(text)


def segments(text: bytes) -> Iterator[tuple[int, int, str]]:
    """Tokens in the path of a URL: by their look, or behind a segment named like a secret."""
    for match in find_all(_SEGMENT, text):
        before, segment = match.groups()
        if before is not None and is_random(before):
            yield (*match.span(1), "token")
        named = before is not None and is_secret(before.decode("ascii"))
        if is_random(segment) or (named and _DIGIT.search(segment) is not None):
            yield (*match.span(2), "token")


def _is_credential(scheme: bytes, value: bytes) -> bool:
    if scheme == b"basic":  # of user:password
        try:
            return b":" in binascii.a2b_base64(value)
        except binascii.Error:
            return False
    return _PROSE.fullmatch(value) is None and TOKEN.fullmatch(value) is None


def _is_object(part: bytes) -> bool:
    """Whether it is a JSON object in base64url."""
    try:
        plain = binascii.a2b_base64(part.translate(_STANDARD) + b"==")
        return isinstance(orjson.loads(plain), dict)
    except (binascii.Error, orjson.JSONDecodeError):
        return False


def is_random(segment: bytes) -> bool:
    """Whether a segment of a path is a token: capitals, small letters and digits, well mixed.

    Slugs, titles, UUIDs and hexadecimal sums are not: they have many dashes, not all three, or
    words. Two neighbours of five differ in a token, at least.
    """
    if len(segment) < _RANDOM_MIN:
        return False
    kinds = segment.translate(_KINDS)
    dashes = kinds.count(b"-")
    if len(set(kinds) & _MIXED) < len(_MIXED) or dashes * 8 > len(kinds):
        return False
    changes = sum(a != b for piece in kinds.split(b"-") for a, b in pairwise(piece))
    return changes * 5 >= (len(kinds) - 1 - 2 * dashes) * 2
