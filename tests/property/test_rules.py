"""However a path is spelt, a drop holds, and what opens writes opens nothing else."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.decision import Policy
from shadow_agent.policy.outgoing import Outgoing
from shadow_agent.policy.outgoing import Settings as OutgoingSettings
from shadow_agent.policy.readings import read_target
from shadow_agent.policy.rule import SAFE_METHODS, Action, Change, Edit, Part, Place, Rule
from shadow_agent.policy.rules import RuleSet
from shadow_agent.telemetry.reasons import Refused

KEY = flow_key("192.0.2.1", 4000, "198.51.100.7", 80)
SHADOW = bytes(16)


def asked(target: bytes, method: str, fields: bytes = b"") -> Exchange | None:
    """A request with that target, if the http room lets it through."""
    line = method.encode() + b" " + target + b" HTTP/1.1\r\n"
    head = parse_request(line + b"Host: a\r\n" + fields + b"\r\n")
    if not isinstance(head, RequestHead):
        return None
    return Exchange(1, KEY, "s", head, 0, 0, 0)


def policy(*rules: Rule) -> Policy:
    """Everything is open but for these rules."""
    return Policy(None, SHADOW, rules=RuleSet(rules, None), writes_open=True)


def spelt(draw: st.DrawFn, path: str) -> bytes:
    """The path as one of the servers would still read it, in steps undone in reverse."""
    made = ""
    for character in path:
        how = draw(st.integers(0, 5))
        if character == "/":
            made += draw(st.sampled_from(["/", "//", "/./", "/x/../", "/;p/../", "/y/%2e%2e/"]))
        elif how == 0:
            made += f"%{ord(character):02x}"
        elif how == 1:
            made += f"%25{ord(character):02X}"
        elif how == 2:
            made += character.upper()
        else:
            made += character
    made += draw(st.sampled_from(["", "/", ";a=b", "%00.png", "?q=1", "%3fx", "/.", "%2f"]))
    prefix = draw(st.sampled_from(["", "", "http://a", "HTTP://u@b:81"]))
    return (prefix + made).encode()


@st.composite
def spellings(draw: st.DrawFn) -> bytes:
    """Of ``/admin/users``."""
    return spelt(draw, "/admin/users")


@st.composite
def users(draw: st.DrawFn) -> bytes:
    """Spellings of ``/users/5``."""
    return spelt(draw, "/users/5")


@settings(max_examples=400)
@given(spellings(), st.sampled_from(["GET", "POST", "DELETE"]))
def test_a_drop_is_not_evaded(target: bytes, method: str) -> None:
    """Whatever the spelling of a dropped path, it never goes out."""
    exchange = asked(target, method)
    if exchange is None:
        return
    closed = policy(Rule(name="d", action=Action.DROP, path="/admin/users"))
    assert closed.refuse(exchange) is Refused.RULE
    tree = policy(Rule(name="d", action=Action.DROP, path="/admin/**"))
    assert tree.refuse(exchange) is Refused.RULE


@st.composite
def plans(draw: st.DrawFn) -> bytes:
    """Fields of which some server reads that X-Plan is free."""
    name = "".join(
        draw(st.sampled_from("-_")) if one == "-" else draw(st.sampled_from([one, one.upper()]))
        for one in "x-plan"
    )
    value = draw(st.sampled_from(["free", "FREE", '"free"', "free;q=0.5", 'free ; a="b,c"']))
    others = st.lists(st.sampled_from(["beta", "", '"x"', "gold;q=1"]), max_size=3)
    space = st.sampled_from(["", " ", "\t"])
    listed = [*draw(others), draw(space) + value + draw(space), *draw(others)]
    lines = [f"{name}:{draw(space)}{','.join(listed)}\r\n"]
    lines += [f"X-Plan: {one}\r\n" for one in draw(others)]
    return "".join(draw(st.permutations(lines))).encode()


@settings(max_examples=300)
@given(plans())
def test_a_drop_by_a_field_is_not_evaded(fields: bytes) -> None:
    """Whichever way a server comes to read the dropped value, it never goes out."""
    exchange = asked(b"/", "GET", fields)
    assert exchange is not None
    closed = policy(Rule(name="d", action=Action.DROP, headers=(("x-plan", "free"),)))
    assert closed.refuse(exchange) is Refused.RULE
    sent = policy(Rule(name="r", action=Action.REPLAY, headers=(("x-plan", "free"),)))
    assert sent.refuse(exchange) in {None, Refused.AMBIGUOUS}


@settings(max_examples=400)
@given(users())
def test_a_namespace_is_not_evaded(target: bytes) -> None:
    """However /users/5 is spelt, it goes out with the prefix in every reading, or not at all."""
    exchange = asked(target, "GET")
    if exchange is None:
        return
    place = Place(Part.SEGMENT, "/users/{id}")
    namespaces = (Edit(place, Change.PREFIX, "shadow-"),)
    sent = Outgoing(OutgoingSettings(namespaces=namespaces), "run").dress(exchange, ())
    if isinstance(sent, Refused):
        assert sent is Refused.UNEDITABLE
        return
    for path in read_target(sent.split(b" ")[1]).paths:
        assert not re.fullmatch(rb"(?i)/+users/+5/*", path)


odd_paths = st.lists(
    st.sampled_from(
        ["/", "a", "b", "..", ".", "%2e", "%2f", "%5c", "\\", ";", "%3b", "//", "%25", "%61", "%00"]
    ),
    max_size=12,
).map(lambda parts: ("/" + "".join(parts)).encode())


@settings(max_examples=400)
@given(odd_paths)
def test_what_opens_a_write_opens_no_other(target: bytes) -> None:
    """What goes out by a rule for ``/a/{id}`` is under /a, also where a server normalises."""
    opened = Policy(
        SAFE_METHODS,
        SHADOW,
        rules=RuleSet(
            [
                Rule(
                    name="r",
                    action=Action.REPLAY,
                    methods=frozenset({"POST"}),
                    path="/a/{id}",
                )
            ],
            SAFE_METHODS,
        ),
        writes_open=True,
    )
    exchange = asked(target, "POST")
    if exchange is None or opened.refuse(exchange) is not None:
        return
    text = target.decode("ascii").partition("?")[0]
    for decoded in (unquote(text), unquote(unquote(text))):
        for cut in (decoded, decoded.partition(";")[0]):
            assert posixpath.normpath(cut.replace("\\", "/")).startswith("/a/")
