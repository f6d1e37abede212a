"""What an exchange says of itself."""

from hashlib import sha256

from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead


def exchange() -> Exchange:
    """One whose request head is known."""
    head = RequestHead(b"GET /x HTTP/1.1\r\n\r\n", "GET", b"/x", "1.1")
    return Exchange(7, b"k" * 36, "s", head, 5, 6, 7, unsure=False)


def test_a_new_exchange_knows_its_request_only() -> None:
    """Everything else is None, not zero."""
    new = exchange()
    assert (new.method, new.target, new.host, new.version) == ("GET", b"/x", None, "1.1")
    assert new.raw_head == b"GET /x HTTP/1.1\r\n\r\n"
    assert new.status is None
    assert new.request_body_sha256 is None
    assert new.response_body_sha256 is None
    assert new.response_headers == []
    assert not new.answered
    assert "7 GET b'/x' -> None" in repr(new)


def test_an_empty_body_has_the_hash_of_nothing() -> None:
    """Length 0 is known."""
    new = exchange()
    new.set_request_body(0, None, None)
    new.set_response_body(0, None, None)
    assert new.request_body_sha256 == new.response_body_sha256 == sha256().digest()
    assert new.request_body == new.response_body == b""


def test_a_body_in_one_piece_is_hashed_when_asked() -> None:
    """And its bytes are there; a streamed one has only its hash."""
    new = exchange()
    new.set_response_body(3, b"abc", None)
    assert new.response_body_len == 3
    whole = new.response_body
    assert whole == b"abc"
    assert new.response_body_sha256 == sha256(b"abc").digest()
    new.set_response_body(3, None, b"d" * 32)
    assert new.response_body is None
    assert new.response_body_sha256 == b"d" * 32


def test_notes_and_the_response() -> None:
    """They come as they come."""
    new = exchange()
    new.note("one")
    new.note("two")
    new.response = ResponseHead(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, 0)
    assert new.notes == ["one", "two"]
    assert (new.status, new.response_headers) == (200, [(b"A", b"b")])
