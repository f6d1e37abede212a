"""HTML by what stands in which element."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.compare.difference import Collector, Difference
from shadow_agent.compare.markup import compare_markup, tokens


def diff(production: bytes, shadow: bytes) -> list[Difference]:
    """What differs."""
    into = Collector()
    compare_markup(into, production, shadow)
    return list(into.result().differences)


def test_spaces_case_attribute_order_and_comments_say_nothing() -> None:
    """As a browser sees it."""
    one = b"<html><!-- 1 --><P class='a' id=b>hello <br/>you</P></html>"
    other = b'<html>\n<p id="b" class="a">\n hello<BR>you</p>\n</html>'
    assert diff(one, other) == []


def test_a_text_is_named_by_its_elements() -> None:
    """And an attribute by its element."""
    page = b"<html><body><div><a href=%b>%b</a></div></body></html>"
    (found,) = diff(page % (b"/x", b"one"), page % (b"/x", b"two"))
    assert (found.path, found.production, found.shadow) == ("html body div a", "one", "two")
    (found,) = diff(page % (b"/x", b"one"), page % (b"/y", b"one"))
    assert found.path == "html body div a@href"


def test_an_element_put_in_does_not_shift_the_rest() -> None:
    """It is named alone."""
    found = diff(b"<ul><li>a</li><li>b</li></ul>", b"<ul><li>a</li><li>c</li><li>b</li></ul>")
    assert {one.name for one in found} <= {"body ul li added"}
    assert found


def test_a_hidden_token_is_volatile() -> None:
    """Known by the name of its field."""
    field = b'<input type=hidden name=csrf_token value="%b">'
    (found,) = diff(field % b"a8s7d6f5g4h3j2k1", field % b"q1w2e3r4t5y6u7i8")
    assert found.suppressed == "volatile request id"


def test_scripts_are_text() -> None:
    """What looks like a tag in one is none."""
    assert [one.name for one in tokens(b"<script>if (a<b) x='<p>'</script>")] == ["script", ""]


@pytest.mark.parametrize(
    "piece", [b"<", b"<!--", b"<a ", b"<a b='", b"</", b"<p>", b"a=", b"< >", b"<a  =  >", b"&"]
)
def test_time_is_linear_whatever_is_repeated(piece: bytes) -> None:
    """It ends: a quadratic reader would take minutes."""
    tokens(piece * (250_000 // len(piece)))


@given(
    st.lists(st.sampled_from(["<", ">", "a", "/", "!--", "-->", "script", "'", '"', "=", " ", "İ"]))
)
def test_any_text_is_read(pieces: list[str]) -> None:
    """And is equal to itself."""
    body = "".join(pieces).encode()
    assert diff(body, body) == []
