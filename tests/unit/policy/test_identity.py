"""What every replayed request carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.http.preamble import Origin
from shadow_agent.policy.draft import Draft, Unfit
from shadow_agent.policy.identity import Forwarded, Identity, Marks, field_line

V4 = bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 9))
V6 = bytes.fromhex("20010db8000000000000000000000009")


def exchange(raw: bytes, number: int = 7, client: bytes = V4) -> Exchange:
    """Of a client with this address."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    return Exchange(number, client + bytes(20), "s", head, 0, 0, 0, origin=None)


def marked(identity: Identity, one: Exchange) -> bytes:
    """The head with its marks, by whichever way."""
    spliced = identity.splice(one)
    if spliced is not None:
        return spliced
    draft = Draft(one.request.raw, one.request.target)
    identity.mark(draft, one)
    return draft.head(1 << 16)


def request(method: str = "GET", fields: str = "") -> bytes:
    """A head."""
    return f"{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def test_the_defaults() -> None:
    """A marker and an id, at the end; a key where something is written."""
    identity = Identity(Marks(), "run-0")
    one = exchange(request())
    assert identity.request_id(one) == "run-0-7"
    assert marked(identity, one) == request(
        fields="X-Shadow-Request: 1\r\nX-Shadow-Request-Id: run-0-7\r\n"
    )
    assert marked(identity, exchange(request("POST"))).endswith(
        b"Idempotency-Key: shadow-run-0-7\r\n\r\n"
    )


def test_all_off() -> None:
    """As captured."""
    identity = Identity(Marks(marker="", request_id="", idempotency_key=""), "run")
    assert identity.splice(exchange(request("POST"))) == request("POST")
    assert not identity.loops(exchange(request(fields="X-Shadow-Request: 1\r\n")))


@pytest.mark.parametrize(
    ("field", "loops"),
    [
        ("X-Shadow-Request: 1", True),
        ("x-shadow-request:1", True),
        ("X-Shadow-Request: 0", False),
        ("X-Shadow-Request-Id: 1", False),
        ("X-Other: X-Shadow-Request: 1", False),
    ],
)
def test_a_loop(field: str, loops: bool) -> None:
    """The marker, name and value, as a field of its own; it never goes out by the quick way."""
    identity = Identity(Marks(), "run")
    one = exchange(request(fields=f"{field}\r\n"))
    assert identity.loops(one) is loops
    if loops:
        assert identity.splice(one) is None


def test_what_a_client_claims_is_replaced() -> None:
    """One marker, one id, whatever production's client sent by these names."""
    identity = Identity(Marks(), "run")
    raw = request(
        fields="x-shadow-request: 0\r\nX-Shadow-Request-ID: fake\r\nX-Shadow-Request: 2\r\n"
    )
    assert marked(identity, exchange(raw)) == request(
        fields="x-shadow-request: 1\r\nX-Shadow-Request-ID: run-7\r\n"
    )


@pytest.mark.parametrize(
    ("sent", "key"),
    [("abc", b"shadow-abc"), ('"abc"', b'"shadow-abc"'), ("", b"shadow-run-7")],
)
def test_production_s_key_is_prefixed(sent: str, key: bytes) -> None:
    """So that both builds see the same retries, in stores of their own."""
    identity = Identity(Marks(), "run")
    made = marked(identity, exchange(request("PUT", f"Idempotency-Key: {sent}\r\n")))
    assert b"\r\nIdempotency-Key: " + key + b"\r\n" in made
    assert made.lower().count(b"idempotency-key") == 1


def test_a_key_beyond_measure() -> None:
    """Is refused rather than cut."""
    with pytest.raises(Unfit):
        marked(
            Identity(Marks(), "r"), exchange(request("PUT", f"Idempotency-Key: {'k' * 5000}\r\n"))
        )


@pytest.mark.parametrize(
    ("how", "client", "before", "after"),
    [
        ("x-forwarded-for", V4, "", "X-Forwarded-For: 192.0.2.9"),
        ("x-forwarded-for", V6, "", "X-Forwarded-For: 2001:db8::9"),
        ("x-forwarded-for", V4, "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 1.2.3.4, 192.0.2.9"),
        ("forwarded", V4, "", "Forwarded: for=192.0.2.9"),
        ("forwarded", V6, "", 'Forwarded: for="[2001:db8::9]"'),
        (
            "forwarded",
            V6,
            "Forwarded: for=a\r\nForwarded: for=b",
            'Forwarded: for=a\r\nForwarded: for=b, for="[2001:db8::9]"',
        ),
    ],
)
def test_the_client_s_address(how: str, client: bytes, before: str, after: str) -> None:
    """RFC 7239's syntax, or the older one; behind what proxies said."""
    marks = Marks(marker="", request_id="", forwarded=Forwarded(how))
    raw = request(fields=f"{before}\r\n" if before else "")
    assert marked(Identity(marks, "run"), exchange(raw, client=client)) == request(
        fields=f"{after}\r\n"
    )


def test_the_client_that_a_preamble_names() -> None:
    """Behind a balancer it is not the flow's."""
    one = exchange(request(), client=V4)
    one.origin = Origin(b"PROXY ...", V6, 1)
    marks = Marks(marker="", request_id="", forwarded=Forwarded.X_FORWARDED_FOR)
    assert b"2001:db8::9" in marked(Identity(marks, "run"), one)


@pytest.mark.parametrize(
    "text",
    ["X: a\r\nY: b", "X: a\n", "no colon", "X:", ": v", "X Y: v", "X: " + "v" * 2000, "Host: evil",
     "Content-Length: 5", "Transfer-Encoding: chunked", "Ü: v"],
)  # fmt: skip
def test_no_marker(text: str) -> None:
    """What would make another request of it is refused before anything is attached."""
    with pytest.raises(ValueError, match=r".+"):
        field_line(text)
    with pytest.raises(ValueError, match=r".+"):
        Identity(Marks(marker=text), "run")


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n"])
def test_bare_line_feeds(end: bytes) -> None:
    """The marks are in the head, whatever ends it."""
    raw = b"GET / HTTP/1.1" + end[: len(end) // 2] + b"Host: a" + end
    made = Identity(Marks(), "run").splice(exchange(raw))
    assert made is not None
    again = parse_request(made)
    assert isinstance(again, RequestHead)
    assert [name for name, _ in again.headers] == [
        b"Host",
        b"X-Shadow-Request",
        b"X-Shadow-Request-Id",
    ]


NAMES = st.sampled_from(
    ["X-Shadow-Request", "x-shadow-request-id", "Idempotency-Key", "X-Forwarded-For", "Accept", "X"]
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)


@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.sampled_from(Forwarded),
)
def test_all_else_is_untouched(method: str, fields: list[tuple[str, str]], how: Forwarded) -> None:
    """The request parses, has each mark once, and every other field as it was, in its place."""
    identity = Identity(Marks(forwarded=how), "run")
    raw = request(method, "".join(f"{name}: {value}\r\n" for name, value in fields))
    one = exchange(raw)
    head = parse_request(marked(identity, one))
    assert isinstance(head, RequestHead)
    assert (head.method, head.target, head.framing) == (method, b"/", 0)
    low = [(name.lower(), value) for name, value in head.headers]
    assert low.count((b"x-shadow-request", b"1")) == 1
    assert low.count((b"x-shadow-request-id", b"run-7")) == 1
    mine = {b"x-shadow-request", b"x-shadow-request-id", b"x-forwarded-for", b"forwarded"}
    if method != "GET":
        mine.add(b"idempotency-key")
    if how is Forwarded.OFF:
        mine.discard(b"x-forwarded-for")
    kept = [pair for pair in one.request.headers if pair[0].lower() not in mine]
    assert [pair for pair in head.headers if pair[0].lower() not in mine] == kept
