"""Values that are no plain text or number."""

import pytest

from shadow_agent.config import SessionKey, SessionKind, ShadowUrl, endpoint


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (ShadowUrl("10.0.0.9", 8080), "http://10.0.0.9:8080"),
        (ShadowUrl("shadow.internal", 80), "http://shadow.internal:80"),
        (ShadowUrl("2001:db8::9", 8080), "http://[2001:db8::9]:8080"),
        (ShadowUrl("fe80::9%eth1", 80), "http://[fe80::9%25eth1]:80"),
    ],
)
def test_a_shadow_url_reads_as_it_was_given(url: ShadowUrl, text: str) -> None:
    """Brackets around IPv6, always a port."""
    assert str(url) == text


def test_an_endpoint_has_brackets_where_needed() -> None:
    """Host and port can be told apart again."""
    assert endpoint("127.0.0.1", 80) == "127.0.0.1:80"
    assert endpoint("::1", 80) == "[::1]:80"


def test_a_session_key_reads_as_it_is_written() -> None:
    """As in the file."""
    assert str(SessionKey()) == "connection"
    assert str(SessionKey(SessionKind.HEADER, "X-User")) == "header:X-User"
    assert str(SessionKey(SessionKind.COOKIE, "sid")) == "cookie:sid"
