"""Bodies without their framing and coding."""

from __future__ import annotations

import gzip

import pytest

from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.draft import Draft
from shadow_agent.policy.edit_body import (
    BodyKind,
    Uneditable,
    decoded,
    encoded,
    kind_of,
    unframed,
)
from tests.property.wire import chunked


def head(*fields: bytes) -> RequestHead:
    """A POST with these fields."""
    made = parse_request(b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(fields) + b"\r\n")
    assert isinstance(made, RequestHead)
    return made


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"application/json", BodyKind.JSON),
        (b"Application/JSON; charset=utf-8", BodyKind.JSON),
        (b"application/problem+json", BodyKind.JSON),
        (b"application/x-www-form-urlencoded", BodyKind.FORM),
        (b"multipart/form-data; boundary=x", BodyKind.OTHER),
        (b"text/plain", BodyKind.OTHER),
    ],
)
def test_kinds(value: bytes, kind: BodyKind) -> None:
    """By Content-Type, whatever its case and parameters."""
    assert kind_of(head(b"Content-Type: " + value + b"\r\n")) is kind
    assert kind_of(head()) is BodyKind.OTHER


def test_chunks() -> None:
    """Their framing is gone, however they were cut."""
    raw = chunked(b"some body of a request")
    pieces = [raw[i : i + 3] for i in range(0, len(raw), 3)]
    request = head(b"Transfer-Encoding: chunked\r\n")
    assert unframed(request, pieces, 100) == b"some body of a request"
    with pytest.raises(Uneditable):
        unframed(request, pieces, 10)
    with pytest.raises(Uneditable):
        unframed(request, pieces[:-1], 100)


@pytest.mark.parametrize("coding", [b"", b"identity", b"gzip", b"X-Gzip"])
def test_codings(coding: bytes) -> None:
    """Undone and done again."""
    field = b"Content-Encoding: " + coding + b"\r\n" if coding else b""
    request = head(field, b"Content-Length: 1\r\n")
    body = gzip.compress(b"text") if b"zip" in coding.lower() else b"text"
    draft = Draft(request.raw, request.target, body)
    assert decoded(draft, len(b"text")) == b"text"
    again = Draft(request.raw, request.target, encoded(draft, b"other"))
    assert decoded(again, 100) == b"other"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"br", b"x"),
        (b"gzip, gzip", b"x"),
        (b"gzip", b"not gzip"),
        (b"gzip", gzip.compress(b"text")[:-3]),
        (b"gzip", gzip.compress(b"text") + b"more"),
        (b"gzip", gzip.compress(bytes(1 << 20))),
    ],
)
def test_uneditable(coding: bytes, body: bytes) -> None:
    """Other codings, damage, and what unpacks to more than is read."""
    request = head(b"Content-Encoding: " + coding + b"\r\nContent-Length: 1\r\n")
    with pytest.raises(Uneditable):
        decoded(Draft(request.raw, request.target, body), 1000)
