"""What is attached where, and which way leads to the shadow: settled before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from shadow_agent.config import Config, SessionKind
from shadow_agent.config.identity import cautions
from shadow_agent.daemon.shadow import resolve, trouble_with
from shadow_agent.errors import HostError, ShadowUnreachable, UsageError
from shadow_agent.kernel import netlink
from shadow_agent.kernel.control import address_bytes
from shadow_agent.kernel.layout import Role
from shadow_agent.kernel.tap import Facing, Place
from shadow_agent.replay.sockets import Endpoint

_CONTAINER_KINDS: Final = frozenset({"veth", "bridge", "tun"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Checked against this host: it can be done."""

    places: tuple[Place, ...]
    endpoint: Endpoint
    address: IPv4Address | IPv6Address
    guard: bool  # the shadow is another host, so its packets have no business towards clients
    warnings: tuple[str, ...]


def make_plan(config: Config) -> Plan:
    """Resolve and check. Raises UsageError, HostError, ShadowUnreachable."""
    tapped = tuple(_interface(name, "--iface") for name in config.interfaces)
    family, sockaddr, address = resolve(config.shadow)
    _refuse_own_service(config, address)
    way = _way(config, address)
    if way.interface in config.interfaces and not config.allow_same_interface:
        raise UsageError(
            f"the route to the shadow {config.shadow} crosses the tapped interface {way.interface}",
            "give it a way of its own with --shadow-iface, or say --allow-same-interface",
        )
    shadow_side = _interface(way.interface, "--shadow-iface")
    endpoint = Endpoint(
        family=family,
        address=sockaddr,
        key=address_bytes(address),
        port=config.shadow.port,
        interface=way.interface,
    )
    shared = config.workers > 1 and config.session.kind != SessionKind.CONNECTION
    warnings = cautions(config.identity, shared_sessions=shared)
    silent = sorted(set(config.ports) - netlink.listening(config.ports))
    if silent and all(_facing(one, config.ports) is Facing.CLIENTS for one in tapped):
        ports = ", ".join(map(str, silent))
        warnings.append(f"nobody listens on port {ports} here yet; waiting for its traffic")
    # a dry run opens no connection to the shadow, not even to see whether it answers
    trouble = None if config.dry_run else trouble_with(endpoint)
    if trouble is not None:
        if config.require_shadow:
            raise ShadowUnreachable(
                f"shadow {config.shadow} by {way.interface}: {trouble}",
                "start it, or leave out --require-shadow",
            )
        warnings.append(f"shadow {config.shadow} does not answer yet: {trouble}")
    return Plan(
        places=(
            *(Place(one, Role.PRODUCTION, _facing(one, config.ports)) for one in tapped),
            Place(shadow_side, Role.SHADOW),
        ),
        endpoint=endpoint,
        address=address,
        guard=not way.local,
        warnings=tuple(warnings),
    )


def _interface(name: str, flag: str) -> netlink.Interface:
    found = netlink.interface(name)
    if found is None:
        raise HostError(f"{flag} {name}: no such interface here", "`ip link` lists them")
    return found


def _facing(interface: netlink.Interface, ports: tuple[int, ...]) -> Facing:
    """Whether clients or the service are at the other end of a tapped interface.

    Only the host's end of a container can face the service: a virtual device of a host that
    forwards, by which no default route leaves, while nobody listens on the ports here.
    """
    container = (
        interface.kind in _CONTAINER_KINDS
        and not netlink.listening(ports)
        and netlink.forwards(interface.name)
        and not netlink.has_default_route(interface.name)
    )
    return Facing.SERVICE if container else Facing.CLIENTS


def _refuse_own_service(config: Config, address: IPv4Address | IPv6Address) -> None:
    own = address.is_loopback or address.is_unspecified or str(address) in netlink.addresses()
    if own and config.shadow.port in config.ports:
        raise UsageError(
            f"--shadow {config.shadow}: is the tapped service itself",
            "name the host or port where the new build runs",
        )


def _way(config: Config, address: IPv4Address | IPv6Address) -> netlink.Route:
    if config.shadow_interface is not None:
        _interface(config.shadow_interface, "--shadow-iface")
    way = netlink.route_to(str(address), oif=config.shadow_interface)
    if way is None:
        by = f" by {config.shadow_interface}" if config.shadow_interface else ""
        raise HostError(
            f"no route to the shadow {address}{by}", "`ip route get` shows what the kernel thinks"
        )
    return way
