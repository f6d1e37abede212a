"""Bodies by what their heads say they are."""

from __future__ import annotations

import gzip

import pytest

from shadow_agent.compare.body import Answer, compare_bodies
from shadow_agent.compare.difference import Collector, Result
from shadow_agent.compare.options import Options


def answer(body: bytes | None, kind: bytes = b"application/json", coding: bytes = b"") -> Answer:
    """An answer of that type."""
    headers = [(b"Content-Type", kind), (b"Content-Encoding", coding)]
    return Answer(200, headers, body, None if body is None else len(body))


def diff(production: Answer, shadow: Answer) -> Result:
    """What differs."""
    into = Collector()
    compare_bodies(into, production, shadow, Options())
    return into.result()


@pytest.mark.parametrize(
    ("kind", "production", "shadow", "name"),
    [
        (b"application/json", b'{"a":1}', b'{"a":2}', "body $.a value"),
        (b"application/problem+json; charset=utf-8", b'{"a":1}', b"{}", "body $.a missing"),
        (b"", b"[1]", b"[2]", "body $[*] value"),
        (b"text/plain", b"[a]", b"[b]", "body line value"),
        (b"text/html", b"<p>a</p>", b"<p>b</p>", "body p value"),
        (b"image/svg+xml", b"<g>a</g>", b"<g>b</g>", "body g value"),
        (b"application/x-www-form-urlencoded", b"a=1", b"a=2", "body field a value"),
        (b"text/csv", b"1,2", b"1,3", "body line value"),
        (b"image/png", b"\0\1", b"\0\2", "body bytes"),
        (b"text/plain", b"\0\1", b"\0\2", "body bytes"),
        (b"application/json", b"{", b"{}", "body bytes"),
        (b"multipart/x", b"1", b"2", "body bytes"),
        (b"application/json", b"", b"{}", "body bytes"),
    ],
)
def test_each_type_is_compared_in_its_manner(
    kind: bytes, production: bytes, shadow: bytes, name: str
) -> None:
    """And as bytes where it is not what it says."""
    result = diff(answer(production, kind), answer(shadow, kind))
    assert [one.name for one in result.differences] == [name]
    assert bool(result.notes) is (name == "body bytes")


def test_a_multipart_body_is_compared_by_part() -> None:
    """Whatever its boundary."""
    part = b'--%b\r\nContent-Disposition: form-data; name="n"\r\n\r\n%b\r\n--%b--\r\n'
    one = answer(part % (b"x", b"1", b"x"), b"multipart/form-data; boundary=x")
    other = answer(part % (b"y", b"1", b"y"), b"multipart/form-data; boundary=y")
    assert diff(one, other).equal
    third = answer(part % (b"y", b"2", b"y"), b"multipart/form-data; boundary=y")
    assert [found.name for found in diff(one, third).differences] == ["body field n value"]


def test_codings_are_taken_off_first() -> None:
    """Packed and plain are the same; a broken coding is compared as bytes, with the side."""
    plain = answer(b'{"a":1}')
    assert diff(answer(gzip.compress(b'{"a":1}'), coding=b"gzip"), plain).equal
    found = diff(plain, answer(b"junk", coding=b"gzip"))
    assert found.notes == ("body: shadow: broken content coding",)
    assert [one.name for one in found.differences] == ["body bytes"]


def test_what_is_over_size_is_not_parsed() -> None:
    """100 MB of JSON are compared by length and hash."""
    large = b"[" + b"1," * 50_000_000 + b"1]"
    found = diff(answer(large), answer(b"[1]"))
    assert found.notes == ("body: too large to be looked into",)
    assert found.differences[0].production.startswith("100000003 bytes, sha256 ")


def test_a_body_that_was_not_kept_is_known_by_length_and_hash() -> None:
    """Nothing else is."""
    found = diff(Answer(200, [], None, 5, bytes(32)), answer(b"x"))
    assert found.differences[0].production == "5 bytes, sha256 0000000000000000"
    assert found.notes == ("body: too large to be kept",)


def test_other_types_are_other_bodies() -> None:
    """They are not read in two manners."""
    found = diff(answer(b"{}", b"application/json"), answer(b"<p>", b"text/html"))
    assert found.notes == ("body: content types differ",)
