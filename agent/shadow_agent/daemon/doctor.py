"""Whether this host can do what an attachment asks for: a line per question, a fix per no."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Any, Final

from shadow_agent.config import ShadowUrl, check_data_dir, endpoint, unprivileged_user
from shadow_agent.daemon.isolation import Isolation
from shadow_agent.daemon.seccomp import open_sandbox
from shadow_agent.errors import HostError, UsageError
from shadow_agent.kernel import conntrack, features, netlink
from shadow_agent.kernel.features import Finding
from shadow_agent.kernel.macvlan import mac_of
from shadow_agent.kernel.offloads import offloads

_CONNECT_S: Final = 1.0
_IN_NAMESPACE: Final = "run as root in the right namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is known of the attachment so far; fields as in Config, each may be absent."""

    interfaces: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    shadow: ShadowUrl | None = None
    shadow_interface: str | None = None
    allow_same_interface: bool = False
    data_dir: Path = field(default=Path("/var/lib/shadow-agent"))
    user: str | None = None
    isolate: bool = False
    isolate_address: IPv4Interface | IPv6Interface | None = None
    isolate_gateway: IPv4Address | IPv6Address | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Wanted:
        """From settings by field of Config, as ``config.merge`` gives them."""
        return cls(**{name: settings[name] for name in cls.__slots__ if name in settings})


def check(wanted: Wanted) -> list[Finding]:
    """Every question that can be asked with what is known. Nothing on the host changes."""
    found = features.findings()
    for name in wanted.interfaces:
        found += interface(name)
    if wanted.shadow_interface and wanted.shadow_interface not in wanted.interfaces:
        found += interface(wanted.shadow_interface)
    found += listening(wanted.ports)
    if wanted.shadow is not None:
        found += shadow(wanted, wanted.shadow)
    found += [conntrack.headroom(), conntrack.notrack(), seccomp()]
    return [*found, data_dir(wanted.data_dir), user(wanted.user)]


def seccomp() -> Finding:
    """Whether the system calls of workers can be filtered."""
    made = open_sandbox("auto")
    fix = "" if made.on else "apt install libseccomp2, on a kernel with CONFIG_SECCOMP_FILTER"
    return Finding("seccomp", made.on or None, made.state, fix)


def interface(name: str) -> list[Finding]:
    """Whether the interface exists and is up, and what kind it is."""
    title = f"interface {name}"
    try:
        found = netlink.interface(name)
    except OSError as error:
        return [Finding(title, False, f"{error.strerror}", _IN_NAMESPACE)]
    if found is None:
        return [Finding(title, False, "no such interface", "`ip link` lists their names")]
    kind = "loopback" if found.is_loopback else "layer 3" if found.is_l3 else "layer 2"
    if not found.up:
        return [Finding(title, False, f"{kind}, down", f"ip link set {name} up")]
    detail = f"{kind}, up, {', '.join(found.addresses) or 'no address'}"
    if not found.running:
        return [Finding(title, None, f"{detail}, no carrier", "check the cable or the other end")]
    return [Finding(title, True, detail), _offloads(name)]


def _offloads(name: str) -> Finding:
    title = f"offloads {name}"
    try:
        found = offloads(name)
    except OSError as error:
        return Finding(title, True, f"unknown ({error.strerror}); the tap works with any")
    listed = ", ".join(f"{one} {'on' if on else 'off'}" for one, on in found.items()) or "none"
    if found.get("lro"):
        fix = f"ethtool -K {name} lro off"
        return Finding(title, None, f"{listed}; LRO joins packets for good", fix)
    return Finding(title, True, f"{listed}; the tap works with any")


def listening(ports: tuple[int, ...]) -> list[Finding]:
    """Whether the service is there. It may come later: containers, boot order."""
    open_ports = netlink.listening(ports)
    return [
        Finding(f"port {port}", True, "something listens")
        if port in open_ports
        else Finding(
            f"port {port}",
            None,
            "nothing listens in this network namespace",
            "start the service, or check --port; behind DNAT or a bridge this is expected",
        )
        for port in ports
    ]


def shadow(wanted: Wanted, url: ShadowUrl) -> list[Finding]:
    """Whether the shadow's name resolves, by which interface it is reached, and if it answers."""
    try:
        entries = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return [
            Finding(
                "shadow", False, f"{url.host}: {error.strerror}", "correct the name in --shadow"
            )
        ]
    family, _, _, _, address = entries[0]
    if wanted.isolate and wanted.isolate_address is not None:
        return _isolated(wanted, wanted.isolate_address, url, family, address)
    route = shadow_route(wanted, str(address[0]), url.port)
    if route.ok is False:
        return [route]
    return [route, _reachable(family, address, url, wanted.shadow_interface)]


def shadow_route(wanted: Wanted, address: str, port: int) -> Finding:
    """By which interface the shadow's address is reached: never a tapped one, unless allowed."""
    name = "route to shadow"
    by = wanted.shadow_interface
    try:
        route = netlink.route_to(address, by)
        ours = address in netlink.addresses()
    except LookupError as error:
        return Finding(name, False, f"{error}", "correct --shadow-iface")
    except OSError as error:
        return Finding(name, False, f"{error.strerror}", _IN_NAMESPACE)
    if route is None:
        what = f"no route to {address}{f' by {by}' if by else ''}"
        return Finding(name, False, what, f"ip route add {address} dev {by or 'IFACE'}")
    detail = f"{address} by {route.interface}"
    detail += f" from {route.source}" if route.source else ""
    detail += f" through {route.gateway}" if route.gateway else ""
    # with an interface asked for, the kernel's answer no longer says local
    if (ours or route.local) and port in wanted.ports:
        what = f"{endpoint(address, port)} is on this host: the tapped service itself"
        return Finding(name, False, what, "give the shadow build's own address or port")
    if route.interface in wanted.interfaces and not wanted.allow_same_interface:
        what = f"{detail}, which is tapped"
        fix = "give another with --shadow-iface, or allow it with --allow-same-interface"
        return Finding(name, False, what, fix)
    return Finding(name, True, detail)


def _isolated(
    wanted: Wanted,
    own: IPv4Interface | IPv6Interface,
    url: ShadowUrl,
    family: int,
    address: tuple[Any, ...],
) -> list[Finding]:
    """Tried from such a namespace, which ends with the try."""
    route = None if wanted.shadow_interface else netlink.route_to(str(address[0]))
    by = wanted.shadow_interface or (route.interface if route else "")
    try:
        parent = netlink.interface(by) if by else None
        if parent is None:
            return [Finding("isolation", False, f"no interface {by}", "give --shadow-iface")]
        isolation = Isolation(parent, own, wanted.isolate_gateway)
    except HostError as error:
        return [Finding("isolation", False, error.what, error.fix)]
    except OSError as error:
        return [Finding("isolation", False, f"{error.strerror}", _IN_NAMESPACE)]
    try:
        inside = isolation.interface().name
        found = isolation.call(_reachable, family, address, url, inside)
    finally:
        isolation.close()
    if found.ok is not True:
        found = replace(
            found,
            fix=f"{found.fix}; the address must be free, and the network must let "
            f"{mac_of(own)} through (clouds often do not)",
        )
    return [Finding("isolation", True, str(isolation)), _forwarding(by), found]


def _forwarding(name: str) -> Finding:
    """Beside the macvlan the host itself may still stand between the two sides."""
    title = f"forwarding {name}"
    if not netlink.forwards(name):
        return Finding(title, True, "off")
    fix = f"take this host's addresses off {name}: --isolate needs none"
    return Finding(title, None, "this host forwards what the shadow's side sends to it", fix)


def _reachable(
    family: int, address: tuple[Any, ...], url: ShadowUrl, interface_name: str | None
) -> Finding:
    name = "shadow"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as channel:
            channel.settimeout(_CONNECT_S)
            if interface_name:
                device = interface_name.encode()
                channel.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            channel.connect(address)
    except OSError as error:
        why = error.strerror or f"no answer within {_CONNECT_S:g} s"
        return Finding(name, None, f"{url}: {why}", "start the shadow build, or check --shadow")
    return Finding(name, True, f"{url} accepts connections")


def data_dir(path: Path) -> Finding:
    """Whether records could be written."""
    try:
        check_data_dir(path)
    except UsageError as error:
        return Finding("data dir", False, error.what, error.fix)
    return Finding("data dir", True, f"{path} is writable")


def user(name: str | None) -> Finding:
    """Whom the workers would run as."""
    try:
        entry = unprivileged_user(name)
    except UsageError as error:
        return Finding("user", False, error.what, error.fix)
    return Finding("user", True, f"{entry.pw_name}, uid {entry.pw_uid}")
