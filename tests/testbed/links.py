"""Interfaces, addresses and routes inside namespaces, by netlink."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.testbed.ns import Namespace

if TYPE_CHECKING:
    from pyroute2 import IPRoute

# linux/if_addr.h
_IFA_F_NODAD: Final = 0x02
T = TypeVar("T")


def prepare(host: Namespace) -> None:
    """Loopback up; no forwarding; no duplicate address detection, no router solicitations."""
    for scope in ("all", "default"):
        host.sysctl(f"ipv4/conf/{scope}/forwarding", 0)
        host.sysctl(f"ipv6/conf/{scope}/accept_dad", 0)
        host.sysctl(f"ipv6/conf/{scope}/router_solicitations", 0)
    up(host, "lo")


def forward(host: Namespace) -> None:
    """Let the host route between its interfaces."""
    host.sysctl("ipv4/conf/all/forwarding", 1)
    host.sysctl("ipv6/conf/all/forwarding", 1)


def veth(near: Namespace, near_name: str, far: Namespace, far_name: str, number: int = 0) -> None:
    """A veth pair, made inside its two namespaces (the root namespace never sees it), still down.

    ``number``: interface index of the near end, 0 for the next free one. Ends of equal index look
    like a plain device to the kernel's link watch, which then takes a second to report them up.
    """
    there = os.open(far.path, os.O_RDONLY)
    try:
        peer = {"ifname": far_name, "net_ns_fd": there}
        ask = {"index": number} if number else {}
        _netlink(near, lambda ipr: ipr.link("add", ifname=near_name, kind="veth", peer=peer, **ask))
    finally:
        os.close(there)


def up(host: Namespace, name: str, *addresses: str) -> None:
    """Bring an interface up and give it ``addresses`` (``10.0.1.1/24``), usable at once."""

    def configure(ipr: IPRoute) -> None:
        number = _index(ipr, name)
        ipr.link("set", index=number, state="up")
        for address in map(ip_interface, addresses):
            ipr.addr(
                "add",
                index=number,
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
                **({"flags": _IFA_F_NODAD} if address.version == 6 else {}),
            )

    _netlink(host, configure)


def delete(host: Namespace, name: str) -> None:
    """Delete an interface, at once (a veth's other end goes with it)."""
    _netlink(host, lambda ipr: ipr.link("del", index=_index(ipr, name)))


def route(host: Namespace, network: str, gateway: str) -> None:
    """Reach ``network`` through ``gateway``."""
    _netlink(host, lambda ipr: ipr.route("add", dst=network, gateway=gateway))


def names(host: Namespace) -> list[str]:
    """Interfaces of the host, by name."""
    return sorted(_netlink(host, lambda ipr: [str(link.get("ifname")) for link in ipr.get_links()]))


def all_up(host: Namespace) -> bool:
    """Whether every interface is reported up and running (loopback's state is always unknown)."""

    def states(ipr: IPRoute) -> bool:
        return all(link.get("state") == "up" and _running(link) for link in ipr.get_links())

    return _netlink(host, states)


def _running(link: Any) -> bool:
    return link.get("operstate") in ("UP", "UNKNOWN")


def index(host: Namespace, name: str) -> int:
    """Interface index in the host's namespace; raises LookupError when there is none."""
    return _netlink(host, lambda ipr: _index(ipr, name))


def _netlink(host: Namespace, action: Callable[[IPRoute], T]) -> T:
    from pyroute2 import IPRoute  # noqa: PLC0415 - see ns._netns

    # Not IPRoute(netns=...): that forks a helper and ends it by SIGTERM, which in a process with
    # a SIGTERM handler (the testbed's owner) runs the handler, and all it unwinds, in the child.
    def inside() -> T:
        with IPRoute() as ipr:
            return action(ipr)

    return host.call(inside)


def _index(ipr: IPRoute, name: str) -> int:
    found: list[int] = list(ipr.link_lookup(ifname=name))
    if not found:
        raise LookupError(f"no interface {name} in this namespace")
    return found[0]
