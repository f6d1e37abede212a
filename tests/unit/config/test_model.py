"""The values of a configuration."""

from dataclasses import FrozenInstanceError

import pytest

from shadow_agent.config import Config, Limits, SessionKey, SessionKind, ShadowUrl, endpoint


def test_defaults_are_safe() -> None:
    """Without being told otherwise: safe methods, everything sampled, routes respected."""
    config = Config(
        interfaces=("eth0",), ports=(80,), shadow=ShadowUrl("10.0.0.9", 80), target="eth0-80"
    )
    assert config.methods == frozenset({"GET", "HEAD", "OPTIONS"})
    assert config.sample == 1
    assert config.workers == 1
    assert not config.allow_same_interface
    assert config.limits == Limits()
    assert str(config.data_dir) == "/var/lib/shadow-agent"
    assert str(config.runtime_dir) == "/run/shadow-agent"


def test_limits_are_consistent() -> None:
    """Defaults that contradict each other would be found by the first user."""
    limits = Limits()
    assert limits.ring_bytes & (limits.ring_bytes - 1) == 0
    assert limits.max_held_bytes_per_flow <= limits.max_held_bytes
    assert limits.connect_timeout_s < limits.first_byte_timeout_s < limits.whole_timeout_s


def test_values_are_frozen() -> None:
    """Nobody changes a configuration behind somebody's back."""
    with pytest.raises(FrozenInstanceError):
        Limits().drain_s = 1  # type: ignore[misc]


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
