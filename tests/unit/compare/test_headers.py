"""Declared fields of two heads."""

from __future__ import annotations

import pytest

from shadow_agent.compare.difference import Collector, Difference, Part
from shadow_agent.compare.headers import HeaderComparer
from shadow_agent.compare.options import Options
from shadow_agent.compare.selectors import Action, Tolerance

Fields = list[tuple[bytes, bytes]]


def diff(production: Fields, shadow: Fields, options: Options | None = None) -> list[Difference]:
    """What differs."""
    comparer, into = HeaderComparer(options or Options()), Collector()
    if comparer.differ(production, shadow):
        comparer.compare(into, production, shadow)
    return list(into.result().differences)


@pytest.mark.parametrize(
    ("production", "shadow"),
    [
        ([(b"Vary", b"A, b")], [(b"vary", b"B"), (b"VARY", b"a")]),
        (
            [(b"Content-Type", b"text/html;charset=UTF-8")],
            [(b"content-type", b"Text/HTML; charset=utf-8")],
        ),
        ([(b"ETag", b'"a"')], [(b"ETag", b'"b"')]),
        ([(b"Set-Cookie", b"sid=1; Path=/; Secure")], [(b"Set-Cookie", b"sid=2; secure; path=/")]),
        (
            [(b"WWW-Authenticate", b'Digest nonce="1"')],
            [(b"WWW-Authenticate", b'Digest nonce="2"')],
        ),
        ([(b"Date", b"x"), (b"Server", b"a")], [(b"Server", b"b")]),
        ([(b"Allow", b"GET"), (b"Vary", b"a")], [(b"Vary", b"a"), (b"Allow", b"GET")]),
    ],
)
def test_what_means_the_same_is_no_difference(production: Fields, shadow: Fields) -> None:
    """Case, order, values that are never the same, and fields nobody declared."""
    assert diff(production, shadow) == []


@pytest.mark.parametrize(
    ("production", "shadow", "name"),
    [
        ([(b"ETag", b'"a"')], [], "header etag"),
        ([(b"Set-Cookie", b"sid=1")], [(b"Set-Cookie", b"id=1")], "header set-cookie"),
        ([(b"Set-Cookie", b"sid=1; Secure")], [(b"Set-Cookie", b"sid=1")], "header set-cookie"),
        (
            [(b"Cache-Control", b"no-store")],
            [(b"Cache-Control", b"max-age=5")],
            "header cache-control",
        ),
        ([], [(b"Location", b"/x")], "header location"),
    ],
)
def test_what_clients_act_on_is_a_difference(production: Fields, shadow: Fields, name: str) -> None:
    """By the field's name, from both sides."""
    (found,) = diff(production, shadow)
    assert (found.name, found.suppressed) == (name, "")
    (back,) = diff(shadow, production)
    assert back.name == name


def test_values_of_cookies_are_never_shown() -> None:
    """They are sessions."""
    (found,) = diff([(b"Set-Cookie", b"sid=SECRET; Secure")], [(b"Set-Cookie", b"sid=SECRET")])
    assert "SECRET" not in found.production + found.shadow


def test_another_host_in_a_location_is_volatile() -> None:
    """Each side names itself."""
    (found,) = diff([(b"Location", b"http://a/x")], [(b"Location", b"http://b:8080/x")])
    assert found.suppressed == "volatile hostname"


def test_the_set_is_configurable_and_rules_apply() -> None:
    """A header of one's own, and one that is tolerated."""
    options = Options(headers=("x-own",))
    (found,) = diff([(b"X-Own", b"a"), (b"Vary", b"a")], [(b"X-Own", b"b")], options)
    assert found.name == "header x-own"
    rule = Tolerance(Action.IGNORE, part=Part.HEADER, name="vary")
    (found,) = diff([(b"Vary", b"a")], [], Options(rules=(rule,)))
    assert found.suppressed == "ignore vary"
