"""Questions to the kernel about interfaces, addresses and routes, through pyroute2.

An ``IPRoute`` owns an asyncio loop: it cannot be used in a thread whose own loop runs, and its
epoll is shared with a forked child, where closing it silences the parent's for good. So each
question opens one, asks, and closes it; nothing of it outlives a call, or a fork. Under a running
loop ask in a thread (``asyncio.to_thread``). About 5 ms a question, 110 ms more for the first.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from pyroute2 import IPRoute

T = TypeVar("T")

# linux/if_arp.h. What has an Ethernet header; every other kind that carries IP has none.
_ARPHRD_ETHER: Final = 1
_ARPHRD_LOOPBACK: Final = 772
# linux/if.h
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
# linux/rtnetlink.h
_RTN_LOCAL: Final = 2
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES})
# TCP_LISTEN of net/tcp_states.h, as /proc/net/tcp prints it.
_LISTEN: Final = "0A"


@dataclass(frozen=True, slots=True)
class Interface:
    """A network device of this namespace. Addresses are textual, without prefix length."""

    index: int
    name: str
    # Administratively up; ``running``: it also has a carrier.
    up: bool
    running: bool
    # ARPHRD_* of linux/if_arp.h.
    arphrd: int
    addresses: tuple[str, ...]
    # What made it: veth, bridge, wireguard…; empty for a physical device.
    kind: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether this is ``lo``: every packet passes both hooks there."""
        return self.arphrd == _ARPHRD_LOOPBACK

    @property
    def is_l3(self) -> bool:
        """Whether frames start at the IP header (tun, wireguard, ipip): no Ethernet header."""
        return self.arphrd not in {_ARPHRD_ETHER, _ARPHRD_LOOPBACK}


@dataclass(frozen=True, slots=True)
class Route:
    """How the kernel would send to an address."""

    interface: str
    # The address our end would have; None when the kernel names none.
    source: str | None
    # None: the address is on the link.
    gateway: str | None
    # The address is one of this host's own.
    local: bool


def interface(name: str) -> Interface | None:
    """The interface of that name; None when there is none. Raises OSError."""

    def question(ipr: IPRoute) -> Interface | None:
        try:
            (link,) = ipr.link("get", ifname=name)
        except Exception as error:
            if _code(error) in {errno.ENODEV, errno.ERANGE}:  # ERANGE: longer than a name may be
                return None
            raise
        found = tuple(_address(a) for a in ipr.get_addr(index=link["index"]))
        return Interface(
            index=int(link["index"]),
            name=str(link.get("ifname")),
            up=bool(link["flags"] & _IFF_UP),
            running=bool(link["flags"] & _IFF_RUNNING),
            arphrd=int(link["ifi_type"]),
            addresses=tuple(a for a in found if a),
            kind=str((link.get("linkinfo") or {}).get("kind") or ""),
        )

    return _ask(question)


def route_to(address: str, oif: str | None = None) -> Route | None:
    """The route to an IPv4 or IPv6 address, by ``oif`` only if given; None when there is none.

    A scope (``fe80::1%eth1``) stands for ``oif``. Raises LookupError when there is no interface
    ``oif``, and OSError.
    """
    plain, _, scope = address.partition("%")
    device = oif or scope

    def question(ipr: IPRoute) -> Route | None:
        ask: dict[str, Any] = {"dst": plain}
        if device:
            ask["oif"] = _index(ipr, device)
        try:
            (route,) = ipr.route("get", **ask)
        except Exception as error:
            if _code(error) in _UNREACHABLE:
                return None
            raise
        number = route.get("oif")
        if number is None:  # a blackhole or an unreachable route
            return None
        (link,) = ipr.link("get", index=number)
        return Route(
            interface=str(link.get("ifname")),
            source=route.get("prefsrc"),
            gateway=_gateway(route),
            local=route["type"] == _RTN_LOCAL,
        )

    return _ask(question)


def addresses() -> frozenset[str]:
    """Every address of this namespace. Raises OSError."""
    found = _ask(lambda ipr: [_address(a) for a in ipr.get_addr()])
    return frozenset(a for a in found if a)


def has_default_route(name: str) -> bool:
    """Whether a default route leaves by the interface. Raises LookupError, OSError."""

    def question(ipr: IPRoute) -> bool:
        index = _index(ipr, name)
        return any(
            route.get("oif") == index and not route["dst_len"]
            for family in (socket.AF_INET, socket.AF_INET6)
            for route in ipr.get_routes(family=family)
        )

    return _ask(question)


def forwards(name: str) -> bool:
    """Whether this namespace forwards packets that come in by the interface."""
    for version in ("ipv4", "ipv6"):
        try:
            text = Path("/proc/sys/net", version, "conf", name, "forwarding").read_text("ascii")
        except OSError:
            continue
        if text.strip() == "1":
            return True
    return False


def listening(ports: Iterable[int]) -> frozenset[int]:
    """Those of the TCP ports on which something listens in this thread's network namespace."""
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        try:
            # "self" would be the main thread's namespace
            text = Path("/proc/thread-self/net", table).read_text(encoding="ascii")
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return frozenset(found.intersection(ports))


def _ask(question: Callable[[IPRoute], T]) -> T:
    from pyroute2 import IPRoute  # noqa: PLC0415 - 110 ms, and few commands ask

    try:
        with IPRoute() as ipr:
            return question(ipr)
    except Exception as error:
        code = _code(error)
        if code is None or isinstance(error, OSError):
            raise
        raise OSError(code, f"netlink: {os.strerror(code)}") from error


def _code(error: Exception) -> int | None:
    """The errno of a NetlinkError (which is no OSError), None of anything else."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def _index(ipr: IPRoute, name: str) -> int:
    found = list(ipr.link_lookup(ifname=name))
    if not found:
        raise LookupError(f"no interface {name}")
    return int(found[0])


def _address(message: Any) -> str:
    # IFA_LOCAL is our own end of a point-to-point link, where IFA_ADDRESS is the peer's; IPv6 has
    # only the latter unless there is a peer.
    return str(message.get("local") or message.get("address") or "")


def _gateway(route: Any) -> str | None:
    via = route.get("via")  # an IPv6 next hop of an IPv4 route
    if via:
        return str(via["addr"])
    gateway = route.get("gateway")
    return str(gateway) if gateway else None
