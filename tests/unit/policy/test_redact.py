"""No planted secret survives, in any encoding that we claim; equality still shows."""

from __future__ import annotations

import gzip
import json
import zlib
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.policy.jsonpath import Path
from shadow_agent.policy.linear import compile_bytes
from shadow_agent.policy.redact import Message, RedactionRules, Redactor
from shadow_agent.policy.redact_text import Pattern
from shadow_agent.telemetry.reasons import Withheld
from tests.unit.policy.secrets import AFTER, AROUND, ENCODINGS, SECRETS, is_in

REDACTOR = Redactor(b"k" * 32)
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def head(*fields: bytes, target: bytes = b"/", method: bytes = b"POST") -> RequestHead:
    """A request's head."""
    lines = b"".join(field + b"\r\n" for field in fields)
    start = b"%b %b HTTP/1.1\r\nHost: h.example\r\n" % (method, target)
    made = parse_request(start + lines + b"\r\n")
    assert isinstance(made, RequestHead), made
    return made


def answer(*fields: bytes) -> ResponseHead:
    """A response's head."""
    made = parse_response(b"HTTP/1.1 200 OK\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n")
    assert isinstance(made, ResponseHead)
    return made


def body(kind: str, data: bytes, *fields: bytes, redactor: Redactor = REDACTOR) -> Message:
    """A redacted answer with this body."""
    return redactor.response(answer(b"Content-Type: " + kind.encode(), *fields), data)


@given(SECRETS, AROUND, AFTER, st.sampled_from(sorted(ENCODINGS)))
def test_none_survives_in_text(secret: str, before: str, after: str, encoding: str) -> None:
    """In a line of text, plain or behind escapes."""
    text = f"first line\n{before}{ENCODINGS[encoding](secret)}{after}\nlast"
    done = body("text/plain", text.encode())
    assert not is_in(secret, done.wire())
    assert done.withheld is None


@given(SECRETS, AROUND, st.sampled_from(["plain", "escaped", "percent", "twice"]))
def test_none_survives_in_json(secret: str, before: str, encoding: str) -> None:
    """As a value, inside one, as a member's name, in an array, as JSON within JSON."""
    written = ENCODINGS[encoding](secret)
    front = json.dumps(before)[1:-1]
    inner = front + (json.dumps(secret)[1:-1] if encoding == "plain" else written)
    within = json.dumps(json.dumps({"x": secret}))
    text = f'{{"a": ["{inner}", {{"{inner}": 1}}], "b": {within}}}'
    done = body(JSON, text.encode())
    assert done.withheld is None
    assert not is_in(secret, done.wire())


@given(SECRETS, st.sampled_from(["quoted", "percent", "twice"]))
def test_none_survives_in_a_form_or_a_target(secret: str, encoding: str) -> None:
    """As a value, as a name, in a path's segment, behind a semicolon."""
    written = ENCODINGS[encoding](secret)
    plus = quote_plus(secret)
    form = f"a=1&b={written}&{written}=2;c={plus}&d".encode()
    assert not is_in(secret, body(FORM, form).wire())
    target = f"/u/{written}/x;s={written}?{form.decode()}".encode()
    assert not is_in(secret, REDACTOR.request(head(target=target), b"").wire())


@given(SECRETS, st.sampled_from(["X-Note", "x-note", "REFERER", "Location"]))
def test_none_survives_in_a_field(secret: str, name: str) -> None:
    """In any field, in any case, also folded over two lines."""
    value = secret.encode()
    for field in (b"%b: %b", b"%b: see\r\n %b", b"%b: https://h/?x=%b", b"%b:\t<%b>"):
        message = REDACTOR.request(head(field % (name.encode(), value)), b"")
        assert not is_in(secret, message.wire())


@given(SECRETS, st.sampled_from(["gzip", "deflate", "x-gzip"]), st.integers(0, 200))
def test_none_survives_packing(secret: str, coding: str, cut: int) -> None:
    """Packed bodies are unpacked first; cut off, they are withheld whole."""
    plain = f"dear\n{secret}, ".encode()
    packed = zlib.compress(plain) if coding == "deflate" else gzip.compress(plain)
    field = b"Content-Encoding: " + coding.encode()
    done = body("text/plain", packed, field)
    assert done.withheld is None
    assert b"dear\n" in done.body
    assert b"~" in done.body
    assert not is_in(secret, done.wire())
    short = body("text/plain", packed[: min(cut, len(packed) - 1)], field)
    assert short.withheld is Withheld.CODING or not short.body


@pytest.mark.parametrize(
    ("fields", "data", "reason"),
    [
        ((JSON,), b'{"a": "b@c.example"', Withheld.UNPARSABLE),
        ((JSON,), b"{'a': 'b@c.example'}", Withheld.UNPARSABLE),
        ((JSON,), b'"\\ud800 b@c.example"', Withheld.UNPARSABLE),
        ((JSON,), b"[" * 80 + b"]" * 80, Withheld.TOO_DEEP),
        ((JSON,), b"[" * 2000, Withheld.UNPARSABLE),
        (("text/plain",), b' {"password": "hunter2"', Withheld.UNPARSABLE),
        (("application/x-ndjson",), b'{"a":1}\n{"a":', Withheld.UNPARSABLE),
        (("text/plain; charset=utf-16",), b"b\0@\0", Withheld.CHARSET),
        (("text/plain",), b"b\0@\0c", Withheld.BINARY),
        (("image/png",), b"b@c.example", Withheld.BINARY),
        (("multipart/form-data; boundary=x",), b"b@c.example", Withheld.BINARY),
        (("text/plain\r\nContent-Type: image/png",), b"b@c.example", Withheld.BINARY),
        (("text/plain\r\nContent-Encoding: br",), b"b@c.example", Withheld.CODING),
        (("text/plain\r\nContent-Encoding: gzip",), b"b@c.example", Withheld.CODING),
        (("text/plain\r\nTransfer-Encoding: gzip, chunked",), b"b@c.example", Withheld.CODING),
        (("text/plain\r\nContent-Encoding: gzip,gzip,gzip,gzip",), b"b@c.ex", Withheld.CODING),
        (
            ("text/plain\r\nContent-Encoding: gzip",),
            gzip.compress(b"a" * 70000),
            Withheld.TOO_LARGE,
        ),
        (("text/plain",), b"a" * 70000, Withheld.TOO_LARGE),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_withheld(fields: tuple[str], data: bytes, reason: Withheld) -> None:
    """Whole and by name, never let through because a parser failed."""
    done = body(fields[0], data)
    assert done.withheld is reason
    assert data[:20] not in done.wire()
    assert b"\r\nX-Shadow-Withheld: %b\r\n" % reason.value.encode() in done.wire()
    assert done.body.startswith(b"~body.")
    assert body(fields[0], data).body == done.body


def test_a_status_that_nobody_named() -> None:
    """Has no phrase."""
    made = parse_response(b"HTTP/1.1 799 b@c.example\r\n\r\n")
    assert isinstance(made, ResponseHead)
    assert REDACTOR.response(made, b"").start == b"HTTP/1.1 799 -"


def test_a_body_that_was_not_kept() -> None:
    """Nothing of it, and why; the same for one whose end was not seen."""
    assert REDACTOR.response(answer(), None).withheld is Withheld.NOT_KEPT
    cut = REDACTOR.response(answer(), b"hello b@c.example", whole=False)
    assert (cut.withheld, b"hello" in cut.body) == (Withheld.INCOMPLETE, False)


def test_secrets_by_name() -> None:
    """Credentials, cookies, keys and passwords are replaced whatever they look like."""
    request = REDACTOR.request(
        head(
            b"authorization: Bearer hunter2",
            b"PROXY-AUTHORIZATION: hunter2",
            b"Cookie: sid=hunter2; hunter2; theme=hunter2",
            b"X-API-Key: hunter2",
            b"X-Auth-Token: hunter2",
            b"Content-Type: application/json",
            target=b"http://u:hunter2@h/a;jsessionid=hunter2?access_token=hunter2&ok=1",
        ),
        b'{"password": "hunter2", "in": {"client_secret": ["hunter2"], "pin": 1234}, "n": 5}',
    )
    wire = request.wire()
    assert b"hunter2" not in wire
    assert b"1234" not in wire
    assert b"Bearer ~authorization." in wire
    assert b"sid=~cookie." in wire
    assert b"ok=1" in wire
    assert b'"n":5' in wire
    response = REDACTOR.response(
        answer(
            b"Set-Cookie: sid=hunter2; Path=/; HttpOnly; extra=hunter2",
            b"Location: https://h/?token=hunter2",
            b"WWW-Authenticate: Basic",
        ),
        b"<a href='/x?a=1&amp;session=hunter2'>password=hunter2</a> ok",
    ).wire()
    assert b"hunter2" not in response
    assert b"Path=/; HttpOnly" in response


@settings(max_examples=50)
@given(SECRETS, SECRETS)
def test_equality_shows(first: str, second: str) -> None:
    """The same value has the same token, another value or key another one."""
    done = json.loads(body(JSON, json.dumps([first, first, second]).encode()).body)
    assert done[0] == done[1]
    assert (done[0] == done[2]) == (first == second)
    other = body(JSON, json.dumps([first]).encode(), redactor=Redactor(b"K" * 32))
    assert json.loads(other.body)[0] != done[0]


def test_what_says_nothing_of_anybody_stays() -> None:
    """Ids, dates, times, versions, addresses of hosts and prices are what evidence is for."""
    kept = {
        "id": "550e8400-e29b-41d4-a716-446655440000",
        "etag": "5f1d7a84db00d2fce00b31a7fc73224f",
        "at": "2026-11-23T05:41:30.123456Z",
        "date": "23.11.2026 05:41",
        "ms": 1763876518123,
        "ns": 1763876518123456789,
        "ip": "192.168.100.100",
        "version": "10.0.19045.3803",
        "price": 12345678.9,
        "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0",
        "percent": "100% of A&B",
    }
    assert json.loads(body(JSON, json.dumps(kept).encode()).body) == kept


RULES = RedactionRules(
    headers=frozenset({"x-customer"}),
    fields=frozenset({"surname"}),
    paths=(Path("$.user.name"), Path("$..town")),
    patterns=(
        Pattern("customer", compile_bytes("CUST-[0-9]+")),
        Pattern("order", compile_bytes("order ([a-z]+)")),
    ),
)


def test_rules_of_the_operator() -> None:
    """Fields, paths, forms and expressions; the defaults stay."""
    redactor = Redactor(b"k" * 32, RULES)
    text = (
        b'{"user": {"name": {"first": "Ann"}}, "x": [{"town": "Bern"}], "surname": "Li",'
        b' "k": "v CUST-77"}'
    )
    done = redactor.request(head(b"X-CUSTOMER: Ann", b"Content-Type: application/json"), text)
    wire = done.wire()
    for gone in (b"Ann", b"Bern", b"Li", b"CUST-77"):
        assert gone not in wire
    assert b'"k":"v ~customer.' in wire
    form = body(FORM, b"Surname=Li&x=CUST%2D77&y=b%40c.example&z=order+abc", redactor=redactor)
    assert b"Li" not in form.body
    assert b"77" not in form.body
    assert b"b%40c" not in form.body
    assert b"order%20~order." in form.body


def test_too_many_places() -> None:
    """A text with more matches than anybody keeps becomes one token: time stays linear."""
    redactor = Redactor(b"k" * 32, RedactionRules(patterns=(Pattern("a", compile_bytes("a")),)))
    assert body("text/plain", b"a " * 5000, redactor=redactor).body.startswith(b"~crowded.")
    document = b'[{"town":1}' + b',{"town":1}' * 1500 + b"]"
    assert body(JSON, document, redactor=Redactor(b"k" * 32, RULES)).withheld is Withheld.CROWDED


def test_wire_reads_as_http() -> None:
    """What is built parses again, framed by its length."""
    done = body(JSON, gzip.compress(b'{"a":1}'), b"Content-Encoding: gzip", b"Trailer: x")
    top, _, rest = done.wire().partition(b"\r\n\r\n")
    parsed = parse_response(top + b"\r\n\r\n")
    assert isinstance(parsed, ResponseHead)
    assert (parsed.framing, rest) == (7, b'{"a":1}')
    assert b"gzip" not in top


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM, "text/html", ""]))
def test_hostile_bytes_raise_nothing(data: bytes, kind: str) -> None:
    """Whatever comes, a message comes out."""
    assert isinstance(body(kind, data), Message)


def test_a_short_key_is_refused() -> None:
    """A key that could be guessed keeps nothing."""
    with pytest.raises(ValueError, match="32"):
        Redactor(b"short")
