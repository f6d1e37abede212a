"""Keys and names of flows."""

import pytest

from shadow_agent.flow.segment import KEY_LENGTH, flow_key, format_endpoint, format_flow


def test_a_key_names_both_ends() -> None:
    """An IPv4 flow reads as remote > local."""
    key = flow_key("192.0.2.1", 40_000, "198.51.100.7", 80)
    assert len(key) == KEY_LENGTH
    assert format_flow(key) == "192.0.2.1:40000 > 198.51.100.7:80"


def test_ipv6_is_bracketed() -> None:
    """An IPv6 address is bracketed, as in a URL."""
    key = flow_key("2001:db8::1", 1, "::1", 65_535)
    assert format_flow(key) == "[2001:db8::1]:1 > [::1]:65535"
    assert format_endpoint(key[:16], 9) == "[2001:db8::1]:9"


def test_a_bad_address_is_an_error() -> None:
    """What is no address raises ValueError."""
    with pytest.raises(ValueError, match="nonsense"):
        flow_key("nonsense", 1, "::1", 2)
