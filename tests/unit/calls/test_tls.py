"""The name in a ClientHello that Python's own TLS made."""

from __future__ import annotations

import ssl

import pytest

from shadow_agent.calls.tls import TlsReader, server_name
from tests.unit.calls.pieces import calls_of


def client_hello(name: str | None) -> bytes:
    """As OpenSSL says it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_the_name_is_read() -> None:
    """However the bytes come; a connection is one call."""
    hello = client_hello("pay.example")
    (call,) = calls_of(TlsReader, hello)
    assert (call.protocol, call.host, call.size) == ("tls", "pay.example", len(hello))


def test_no_name() -> None:
    """Not every client says one."""
    assert server_name(client_hello(None)) == b""


def test_the_end_of_the_hello_is_known() -> None:
    """So that a stub need not wait."""
    reader = TlsReader()
    hello = client_hello("pay.example")
    reader.feed(hello[:-1])
    assert not reader.complete
    reader.feed(hello[-1:])
    assert reader.complete


def test_every_cut_and_every_flipped_byte_is_survived() -> None:
    """Nothing raises, and the time is bounded."""
    hello = client_hello("pay.example")
    for at in range(len(hello)):
        server_name(hello[:at])
        server_name(hello[:at] + bytes([hello[at] ^ 0xFF]) + hello[at + 1 :])
    server_name(b"\x16\x03\x01\x00\x00" * 5_000)
