"""Interfaces, addresses and routes of real namespaces."""

import asyncio
import socket

import pytest

from shadow_agent.kernel import netlink
from tests.unit.isolated import ip, isolated, needs_root, open_files, two_interfaces

pytestmark = needs_root


def test_an_interface_is_described() -> None:
    """Kind, state and addresses of an Ethernet device, a loopback and a tunnel."""

    def look() -> list[netlink.Interface | None]:
        two_interfaces()
        ip("tuntap add tun0 mode tun")
        return [netlink.interface(name) for name in ("front", "lo", "tun0")]

    front, lo, tunnel = isolated(look)
    assert front is not None
    assert front.name == "front"
    assert front.index > 0
    assert front.up
    assert front.running
    assert {"10.9.1.2", "fd09:1::2"} <= set(front.addresses)
    assert not front.is_l3
    assert not front.is_loopback
    assert lo is not None
    assert lo.is_loopback
    assert not lo.is_l3
    assert lo.addresses == ("127.0.0.1", "::1")
    assert tunnel is not None
    assert tunnel.is_l3
    assert not tunnel.up
    assert not tunnel.running


@pytest.mark.parametrize("name", ["nope", "a-name-longer-than-fits"])
def test_no_interface(name: str) -> None:
    """None, whatever the kernel says of the name."""
    assert isolated(lambda: netlink.interface(name)) is None


def test_a_point_to_point_address_is_our_own() -> None:
    """Not the peer's."""

    def look() -> netlink.Interface | None:
        ip("tuntap add tun0 mode tun")
        ip("addr add 10.9.3.1 peer 10.9.3.2 dev tun0")
        return netlink.interface("tun0")

    found = isolated(look)
    assert found is not None
    assert found.addresses == ("10.9.3.1",)


def test_routes() -> None:
    """On the link, through a gateway, by a named interface, to ourselves, to nowhere."""

    def look() -> dict[str, netlink.Route | None]:
        two_interfaces()
        ip("route add default via 10.9.1.1")
        ip("-6 route add 2001:db8:9::/48 via fd09::1")
        ip("route add unreachable 198.51.100.0/24")
        ip("route add 203.0.113.0/24 via inet6 fe80::1 dev back")
        return {
            "link": netlink.route_to("10.9.0.9"),
            "link6": netlink.route_to("fd09::9"),
            "gateway": netlink.route_to("192.0.2.1"),
            "gateway6": netlink.route_to("2001:db8:9::1"),
            "mixed": netlink.route_to("203.0.113.1"),
            "by": netlink.route_to("10.9.0.9", oif="back"),
            "by other": netlink.route_to("192.0.2.1", oif="back"),
            "scope": netlink.route_to("fe80::9%back"),
            "local": netlink.route_to("10.9.0.2"),
            "local6": netlink.route_to("fd09::2"),
            "unreachable": netlink.route_to("198.51.100.1"),
            "none6": netlink.route_to("2001:db8:8::1"),
        }

    found = isolated(look)
    route = netlink.Route
    assert found["link"] == route("back", "10.9.0.2", None, local=False)
    assert found["link6"] == route("back", "fd09::2", None, local=False)
    assert found["gateway"] == route("front", "10.9.1.2", "10.9.1.1", local=False)
    assert found["gateway6"] == route("back", "fd09::2", "fd09::1", local=False)
    assert found["mixed"] == route("back", "10.9.0.2", "fe80::1", local=False)
    assert found["by"] == route("back", "10.9.0.2", None, local=False)
    # the kernel takes a bound socket's packets for on-link, as SO_BINDTODEVICE does
    assert found["by other"] is None or found["by other"].interface == "back"
    scoped = found["scope"]
    assert scoped is not None
    assert scoped.interface == "back"
    for name in ("local", "local6"):
        local = found[name]
        assert local is not None
        assert local.local
        assert local.interface == "lo"
    assert found["unreachable"] is None
    assert found["none6"] is None


def test_a_route_by_an_interface_that_is_not_there() -> None:
    """Named in the error."""
    with pytest.raises(LookupError, match="no interface nope"):
        isolated(lambda: netlink.route_to("10.9.0.9", oif="nope"))


def test_addresses_are_all_of_them() -> None:
    """Of every interface, both families."""

    def look() -> frozenset[str]:
        two_interfaces()
        return netlink.addresses()

    assert {"127.0.0.1", "::1", "10.9.1.2", "10.9.0.2", "fd09::2"} <= isolated(look)


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_what_listens(family: socket.AddressFamily, address: str) -> None:
    """Of both families, in this namespace only."""

    def look() -> tuple[int, frozenset[int], frozenset[int]]:
        ip("link set lo up")
        with socket.socket(family, socket.SOCK_STREAM) as server:
            server.bind((address, 0))
            port = server.getsockname()[1]
            bound = netlink.listening([port, 1])
            server.listen()
            return port, bound, netlink.listening([port, 1])

    port, bound, open_ports = isolated(look)
    assert bound == frozenset()
    assert open_ports == {port}


def test_nothing_outlives_a_question() -> None:
    """No file descriptor stays open, so that a fork inherits none."""
    netlink.interface("lo")  # whatever the first import opens
    before = open_files()
    netlink.interface("lo")
    netlink.route_to("127.0.0.1")
    assert open_files() == before


def test_a_loop_that_runs_needs_a_thread() -> None:
    """What the module says of asyncio."""

    async def ask() -> netlink.Interface | None:
        return await asyncio.to_thread(netlink.interface, "lo")

    found = asyncio.run(ask())
    assert found is not None
    assert found.name == "lo"


def test_a_kernel_error_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its errno: callers know no pyroute2."""
    from pyroute2 import NetlinkError  # noqa: PLC0415 - as the module: late

    def refuse(ipr: object) -> None:
        raise NetlinkError(1, "no")

    with pytest.raises(PermissionError, match="netlink: Operation not permitted"):
        netlink._ask(refuse)
