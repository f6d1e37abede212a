"""Which protocol it is."""

from __future__ import annotations

import pytest

from shadow_agent.calls.reader import Reader
from tests.unit.calls.pieces import calls_of
from tests.unit.calls.test_tls import client_hello


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http"),
        (b"EHLO me\r\nQUIT\r\n", "smtp"),
        (client_hello("a.example"), "tls"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", "tcp"),
        (b"", "tcp"),
        (b"GE", "tcp"),
    ],
    ids=["http", "smtp", "tls", "postgres", "nothing", "too little"],
)
def test_the_first_bytes_tell(data: bytes, protocol: str) -> None:
    """One call, of that protocol; a connection on which nothing was said is one too."""
    (call,) = calls_of(lambda: Reader(b"k"), data)
    assert call.protocol == protocol


def test_mail_may_be_known_beforehand() -> None:
    """Then its first bytes are commands, whatever they are."""
    (call,) = calls_of(lambda: Reader(b"k", mail=True), b"NOOP\r\n")
    assert call.protocol == "smtp"
