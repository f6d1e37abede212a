"""Where the shadow is, and whether it answers."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from shadow_agent.config import ShadowUrl
from shadow_agent.daemon.shadow import resolve, trouble_with
from shadow_agent.errors import UsageError
from tests.unit.replay.bed import at


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("::1", socket.AF_INET6, "::1"),
        ("::ffff:10.0.0.9", socket.AF_INET6, "10.0.0.9"),
    ],
)
def test_an_address(host: str, family: int, address: str) -> None:
    """As connect(2) takes it; an IPv4 address in an IPv6 one is what is on the wire."""
    found = resolve(ShadowUrl(host, 80))
    assert (found.family, found.address) == (family, ip_address(address))
    assert found.sockaddr[:2] == (host, 80)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b"])
def test_a_name_that_does_not_resolve(host: str) -> None:
    """One line with the URL and the fix."""
    with pytest.raises(UsageError, match=r"--shadow http://.* does not resolve .*; give an addr"):
        resolve(ShadowUrl(host, 80))


def test_trouble() -> None:
    """None with one that listens; else the kernel's own words."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert trouble_with(at(port)) is None
    assert trouble_with(at(port)) == "Connection refused"
    assert trouble_with(at(port, "nosuchdevice")) == "No such device"
