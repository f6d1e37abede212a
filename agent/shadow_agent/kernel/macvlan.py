"""A macvlan child of an interface in an unnamed network namespace: an address beside the host's.

Nothing names the namespace: it lives while a thread is in it or a file descriptor stands for it,
and the macvlan ends with it. Its packets never pass the host's own IP stack, so neither its routes
nor its forwarding, firewall or conntrack concern them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute, NetlinkError

from shadow_agent.errors import HostError
from shadow_agent.kernel import netlink

_CLONE_NEWNET: Final = 0x40000000
_IFA_F_NODAD: Final = 0x02
# What a namespace may have taken over from the host, and has no use for.
_SYSCTLS: Final = (
    *("ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding"),
    *("ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding"),
    *("ipv6/conf/default/accept_ra", "ipv6/conf/default/autoconf"),
)

_ETHERNET: Final = "a macvlan needs an Ethernet interface that is no macvlan itself"

Own = IPv4Interface | IPv6Interface
Router = IPv4Address | IPv6Address


def mac_of(own: Own) -> str:
    """The hardware address that goes with an address, always the same: switches may ask for it."""
    digest = hashlib.sha256(b"shadow-agent " + own.ip.packed).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))  # locally administered


def leave() -> int:
    """The calling thread moves to a new namespace; the fd that stands for it. Raises HostError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        why = os.strerror(ctypes.get_errno())
        raise HostError(f"--isolate: no network namespace: {why}", "run as root")
    for name in _SYSCTLS:
        with contextlib.suppress(OSError):  # a kernel without IPv6
            Path("/proc/sys/net", name).write_text("0", encoding="ascii")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def create(parent: netlink.Interface, own: Own, namespace: int) -> None:
    """Make it, of the parent's name, in the other namespace; this one never sees it.

    Raises HostError.
    """
    if parent.is_loopback or parent.is_l3:
        raise HostError(f"--isolate on {parent.name}: it has no hardware addresses", _ETHERNET)
    with _explained(parent.name), IPRoute() as ipr:
        # Mode bridge: a shadow in a container that has a macvlan of the same parent is reached.
        ipr.link(
            "add", ifname=parent.name, kind="macvlan", link=parent.index, macvlan_mode="bridge",
            address=mac_of(own), net_ns_fd=namespace,
        )  # fmt: skip


def configure(name: str, own: Own, router: Router | None) -> None:
    """Inside: up, with its address and perhaps a default route. Raises HostError."""
    with _explained(name), IPRoute() as ipr:
        (index,) = ipr.link_lookup(ifname=name)
        try:
            ipr.link("set", index=index, state="up")
            more: dict[str, Any] = {} if own.version == 4 else {"flags": _IFA_F_NODAD}
            ipr.addr(
                "add", index=index, address=str(own.ip), prefixlen=own.network.prefixlen, **more
            )
            if router is not None:
                every = "0.0.0.0/0" if router.version == 4 else "::/0"
                ipr.route("add", dst=every, gateway=str(router), oif=index)
        except NetlinkError:
            ipr.link("del", index=index)
            raise


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as exc:
        code = int(exc.code or errno.EIO)
        fix = {
            errno.ENETDOWN: f"ip link set {name} up",
            errno.EOPNOTSUPP: "the kernel needs CONFIG_MACVLAN (modprobe macvlan)",
            errno.EINVAL: _ETHERNET,
            errno.EADDRINUSE: "another --isolate here has that address: give a free one",
            errno.EBUSY: "the interface is a bridge's or a bond's: name that one",
        }.get(code, "run as root")
        raise HostError(f"--isolate on {name}: {os.strerror(code)}", fix) from exc
