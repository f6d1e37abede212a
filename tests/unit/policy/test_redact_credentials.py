"""Credentials that no name says are there, and what only looks like one."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from shadow_agent.policy.redact_credentials import is_random
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.policy.redact_token import Tokens

TEXT = TextRedactor(Tokens(b"k" * 32))
RANDOM = "x8Fq2LmZp0Kd7TyWb3Vn"
UUID = "550e8400-e29b-41d4-a716-446655440000"


def jwt(header: str) -> str:
    """Three parts, of which the first says this."""
    first = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
    return f"{first}.eyJhIjoxfQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("upstream sent Bearer hunter2, ok", "upstream sent Bearer ~authorization., ok"),
        ("bearer abcdefghijklmnopqrstuvwxyz", "bearer ~authorization."),
        ("Basic dTpw", "Basic ~authorization."),
        ("Basic dXNlcjpwYXNz= ok", "Basic ~authorization. ok"),
        ("Negotiate YIIZhQYGKwYBBQUC", "Negotiate ~authorization."),
        ("token ghp_0123", "token ~authorization."),
        ('Digest username="bob", nonce="n", response="ab12"', "Digest ~authorization."),
        ("digest nc=1,response=ab12", "digest ~authorization."),
        ('Digest realm="shop", nonce="n1"', 'Digest realm="shop", nonce="~secret."'),
        (jwt('{"alg":"none"}'), "~jwt."),
        (jwt('{ "alg":"none"}'), "~jwt."),
        (jwt('{\n\t"alg":"none"}'), "~jwt."),
        (jwt('\n{"alg":"none"}'), "~jwt."),
        (f"id={jwt(' {}   ')}&b", "id=~jwt.&b"),
        (f"https://h.example/r/{RANDOM}?a=1", "https://h.example/r/~token.?a=1"),
        (f"/{RANDOM}/{RANDOM}", "/~token./~token."),
        (f"/reset-password/{'0a1b' * 10}", "/reset-password/~token."),
        (f"/tokens/{UUID}/x", "/tokens/~token./x"),
    ],
)
def test_found(text: str, left: str) -> None:
    """What says how it is made stays; what is a token stays one."""
    done = TEXT.clean(text.encode())
    assert re.sub(r"\.[b-t]{16}~", ".", done.decode()) == left
    assert TEXT.clean(done) == done


@pytest.mark.parametrize(
    "text",
    [
        *("the bearer of this letter", "Bearer tokens.", "Basic plan", "token expired"),
        *("Basic authentication failed", "basic features: 100", 'Bearer realm="shop"'),
        *("Digest SHA-256=abc", "exports.default.value", "Indexing.modules.foo", "eyes.of.it"),
        *("www.internal-service.shop.example.org", "Chrome/120.0.0.0", "CI/CD", "e20.a.b"),
        *(f"/items/{UUID}", f"/a/{'0a1b' * 10}", "/2026-11-23T05:41:30.123456Z/x", "/pin/ab12"),
        *("/blog/How-To-Install-Debian-12-On-Your-Laptop", "/GettingStartedWithPython3"),
        *("/password/change-your-password", "/static/js/main.3f2a1b9c.chunk.js"),
        *("/a/Invoice_2023_Final_v2_Approved", f"/{UUID.upper()}", "/1763876518123456789"),
    ],
)
def test_left_alone(text: str) -> None:
    """Prose, names of hosts, versions, slugs, UUIDs, sums, times."""
    assert TEXT.clean(text.encode()) == text.encode()


@pytest.mark.parametrize(("size", "share"), [(20, 0.9), (24, 0.92), (32, 0.97), (43, 0.99)])
def test_tokens_of_chance(size: int, share: float) -> None:
    """Base64url of random bytes is found nearly always, the longer the surer."""
    sums = (hashlib.sha512(b"%d" % number).digest() for number in range(2000))
    tokens = [base64.urlsafe_b64encode(one)[:size] for one in sums]
    assert sum(map(is_random, tokens)) >= share * len(tokens)
