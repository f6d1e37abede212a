"""From a request of production's to the bytes that the shadow gets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.alias import Pair
from shadow_agent.policy.alias_learn import AliasRule
from shadow_agent.policy.identity import Marks
from shadow_agent.policy.outgoing import Outgoing, OutgoingLimits, Ready, Settings, recipe_of
from shadow_agent.policy.rule import Action, Change, Edit, Part, Place, Rule
from shadow_agent.telemetry.reasons import Refused
from tests.property.wire import chunked

OFF = Marks(marker="", request_id="", idempotency_key="")
GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = (
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def exchange(raw: bytes = GET, rule: Rule | None = None, session: str = "s") -> Exchange:
    """Of a session, let out by a rule."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    made = Exchange(1, bytes(36), session, head, 0, 0, 0)
    made.rule = rule
    return made


def rewrite(part: Part, name: str, value: str = "p-") -> Rule:
    """A rule that prefixes one place."""
    edit = Edit(Place(part, name), Change.PREFIX, value)
    return Rule(name="r", action=Action.REWRITE, path="/orders/{id}", edits=(edit,))


def outgoing(
    marks: Marks = OFF, *, namespaces: tuple[Edit, ...] = (), limits: OutgoingLimits | None = None,
    aliases: tuple[AliasRule, ...] = (),
) -> Outgoing:  # fmt: skip
    """With these settings."""
    return Outgoing(Settings(marks, namespaces, aliases, limits=limits or OutgoingLimits()), "run")


def test_most_requests_get_one_splice() -> None:
    """And stream on, whatever is there of their body."""
    out = outgoing(Marks(idempotency_key=""))
    assert out.ready(exchange(), (), whole=False) is Ready.YES
    added = b"X-Shadow-Request: 1\r\nX-Shadow-Request-Id: run-1\r\n\r\n"
    assert out.dress(exchange(), ()) == GET[:-2] + added
    post = exchange(POST % 5)
    assert out.ready(post, (), whole=False) is Ready.YES
    assert out.dress(post, [b"a", b"b"]) == (POST % 5)[:-2] + added + b"ab"


def test_a_request_with_the_marker_is_a_loop() -> None:
    """The shadow's own call that came back."""
    one = exchange(GET[:-2] + b"X-Shadow-Request: 1\r\n\r\n")
    assert outgoing(Marks()).dress(one, ()) is Refused.LOOP


def test_a_tag() -> None:
    """One more header, whatever the client sent by that name; the body streams."""
    rule = Rule(name="t", action=Action.TAG, tag="X-Env: shadow")
    out = outgoing()
    one = exchange((POST % 3)[:-2] + b"x-env: prod\r\n\r\n", rule)
    assert out.ready(one, (), whole=False) is Ready.YES
    assert out.dress(one, ()) == (POST % 3)[:-2] + b"x-env: shadow\r\n\r\n"


def test_rules_that_change_nothing() -> None:
    """Replay is replay, whatever else the rule holds."""
    rule = Rule(name="t", action=Action.REPLAY, tag="X-Env: shadow")
    assert outgoing().dress(exchange(rule=rule), ()) == GET


def test_a_body_that_is_edited_is_waited_for() -> None:
    """Then it goes out whole, with its length."""
    out = outgoing()
    body = b'{"id":"7"}'
    raw = POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    one = exchange(raw, rewrite(Part.JSON, "$.id"))
    pieces = [chunked(body)]
    assert out.ready(one, (), whole=False) is Ready.BODY
    assert out.ready(one, pieces, whole=True) is Ready.YES
    made = raw.replace(b"Transfer-Encoding: chunked", b"Content-Length: 12") + b'{"id":"p-7"}'
    assert out.dress(one, pieces) == made
    # one in which nothing changes goes out as captured
    pieces = [chunked(b'{"id":"p-7"}')]
    assert out.dress(one, pieces) == raw + pieces[0]
    assert out.ready(exchange(GET, rewrite(Part.JSON, "$.id")), (), whole=True) is Ready.YES


@pytest.mark.parametrize(
    ("raw", "body", "rule", "why"),
    [
        (POST % 2, b"[]", rewrite(Part.SEGMENT, "id"), Refused.UNEDITABLE),
        (POST % 1, b"{", rewrite(Part.JSON, "$.id"), Refused.UNEDITABLE),
        (POST % 300, b" " * 300, rewrite(Part.JSON, "$.id"), Refused.UNEDITABLE),
        (POST % 2, b"[]", rewrite(Part.FORM, "id"), Refused.UNEDITABLE),
        (GET[:-2] + b"X: 1\r\n\r\n", b"", rewrite(Part.HEADER, "X", "v" * 900), Refused.MALFORMED),
    ],
)
def test_refused_by_name(raw: bytes, body: bytes, rule: Rule, why: Refused) -> None:
    """Never sent without its edits, nor as another request."""
    out = outgoing(limits=OutgoingLimits(max_body=100, max_head=800))
    assert out.dress(exchange(raw, rule), [body] if body else []) is why


def test_namespaces() -> None:
    """In every request that has the place."""
    namespaces = (
        Edit(Place(Part.SEGMENT, "/{id}"), Change.PREFIX, "ns-"),
        Edit(Place(Part.JSON, "$.id"), Change.PREFIX, "ns-"),
    )
    out = outgoing(namespaces=namespaces)
    assert out.dress(exchange(), ()) == GET.replace(b"/a", b"/ns-a")
    assert out.ready(exchange(), (), whole=False) is Ready.YES
    one = exchange(POST % 8)
    assert out.ready(one, (), whole=False) is Ready.BODY
    made = out.dress(one, [b'{"id":1}'])
    assert isinstance(made, bytes)
    assert made.endswith(b'Content-Length: 13\r\n\r\n{"id":"ns-1"}')
    other = exchange((POST % 8).replace(b"application/json", b"text/plain"))
    assert out.ready(other, (), whole=False) is Ready.YES


def test_aliases() -> None:
    """Of this session only; a body is waited for where one could be in it."""
    out = outgoing()
    out.aliases.learn("s", Pair(None, b"token", b"other"), 0)
    raw = GET[:-2] + b"X: token\r\n\r\n"
    assert out.dress(exchange(raw), ()) == raw.replace(b"token", b"other")
    assert out.dress(exchange(raw, session="t"), ()) == raw
    assert out.aliases.counts.sent == 1
    assert out.ready(exchange(POST % 9), (), whole=False) is Ready.BODY
    assert out.ready(exchange(POST % 9, session="t"), (), whole=False) is Ready.YES
    assert out.ready(exchange(raw), (), whole=True) is Ready.YES


def test_an_alias_that_is_to_come_is_waited_for() -> None:
    """In head or body; what carries no such value does not wait."""
    out = outgoing()
    out.aliases.expect("s", None, b"token", 0, 0)
    assert out.ready(exchange(GET), (), whole=True) is Ready.YES
    assert out.ready(exchange(GET.replace(b"/a", b"/token")), (), whole=True) is Ready.ALIAS
    assert out.ready(exchange(POST % 9), [b'["token"]'], whole=True) is Ready.ALIAS
    assert out.ready(exchange(POST % 4), [b'["t"]'], whole=True) is Ready.YES
    assert out.ready(exchange(POST % 9), [b'["token"]'[:-1]], whole=True) is Ready.YES
    assert out.dress(exchange(GET.replace(b"/a", b"/token")), ()) is Refused.UNEDITABLE


@pytest.mark.parametrize("later", [0, 1])
def test_nobody_waits_for_what_came_after(later: int) -> None:
    """A 304 repeats the ETag that its request carried: the request does not wait for itself."""
    out = outgoing()
    asked = exchange(GET[:-2] + b'If-None-Match: "token"\r\n\r\n')
    out.aliases.expect("s", None, b'"token"', asked.id + later, 0)
    assert out.ready(asked, (), whole=True) is Ready.YES
    assert b'If-None-Match: "token"' in made_of(out.dress(asked, ()))
    out.aliases.expect("s", None, b'"token"', asked.id - 1, 0)
    assert out.ready(asked, (), whole=True) is Ready.ALIAS


def made_of(found: bytes | Refused) -> bytes:
    """What goes out."""
    assert isinstance(found, bytes)
    return found


def test_an_alias_that_cannot_be_sent() -> None:
    """The shadow handed out a line end: no request of its making leaves us."""
    out = outgoing()
    out.aliases.learn("s", Pair(None, b"token", b"x\r\nX-Evil: 1"), 0)
    assert out.dress(exchange(GET.replace(b"/a", b"/token")), ()) is Refused.MALFORMED
    assert out.aliases.counts.unfit == 1


def test_declared_places_are_used() -> None:
    """Where an alias was declared to hold."""
    rule = AliasRule(source=Place(Part.JSON, "$.id"), to=(Place(Part.SEGMENT, "/o/{id}"),))
    out = outgoing(aliases=(rule,))
    out.aliases.learn("s", Pair(rule.where[0], b"1", b"2"), 0)
    assert out.dress(exchange(GET.replace(b"/a", b"/o/1")), ()) == GET.replace(b"/a", b"/o/2")


def test_a_rule_without_its_parts() -> None:
    """What no config check let through."""
    with pytest.raises(ValueError, match="no value"):
        recipe_of(Rule(name="t", action=Action.TAG, tag="no"))


@given(
    st.dictionaries(st.sampled_from("abc"), st.text(max_size=6), min_size=1),
    st.text('xyz\r\n;"\\', min_size=1, max_size=5),
    st.booleans(),
)
def test_what_goes_out_is_the_intended_request(
    document: dict[str, str], theirs: str, as_chunks: bool
) -> None:
    """Rule, namespace, alias and marks at once: llhttp reads it, and no value is another's."""
    namespaces = (Edit(Place(Part.JSON, "$.b"), Change.PREFIX, "ns-"),)
    out = outgoing(Marks(), namespaces=namespaces)
    document["c"] = "token"
    out.aliases.learn("s", Pair(None, b"token", theirs.encode()), 0)
    body = json.dumps(document).encode()
    raw = POST % len(body)
    if as_chunks:
        raw = raw.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    pieces = [chunked(body) if as_chunks else body]
    made = out.dress(exchange(raw, rewrite_a()), pieces)
    if "\r" in theirs or "\n" in theirs:
        assert made is Refused.MALFORMED
        return
    assert isinstance(made, bytes)
    head, _, sent = made.partition(b"\r\n\r\n")
    read = parse_request(head + b"\r\n\r\n")
    assert isinstance(read, RequestHead)
    assert read.framing == len(sent)
    expected = dict(document, c=theirs)
    if "a" in document:
        expected["a"] = document["a"] if document["a"].startswith("p-") else "p-" + document["a"]
    if "b" in document:
        expected["b"] = document["b"] if document["b"].startswith("ns-") else "ns-" + document["b"]
    assert json.loads(sent) == expected
    names = [name for name, _ in read.headers]
    assert sorted(names) == sorted({*names})
    assert (b"X-Shadow-Request", b"1") in read.headers


def rewrite_a() -> Rule:
    """A rule for a member."""
    return rewrite(Part.JSON, "$.a")
