"""What is attached where, and which way leads to the shadow: settled before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final

from shadow_agent.config import Config, SessionKind
from shadow_agent.config.identity import cautions
from shadow_agent.daemon.isolation import Isolation
from shadow_agent.daemon.shadow import Resolved, resolve, trouble_with
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
    isolation: Isolation | None = None  # where the shadow is spoken to, unless here


def make_plan(config: Config) -> Plan:
    """Resolve and check. Raises UsageError, HostError, ShadowUnreachable."""
    tapped = tuple(_interface(name, "--iface") for name in config.interfaces)
    resolved = resolve(config.shadow)
    family, sockaddr, address = resolved
    _refuse_own_service(config, address)
    if config.isolate and config.isolate_address is not None:
        return _isolated(config, config.isolate_address, tapped, resolved)
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
    warnings = [*cautions(config.identity, shared_sessions=shared), *_silent(config, tapped)]
    # a dry run opens no connection to the shadow, not even to see whether it answers
    trouble = None if config.dry_run else trouble_with(endpoint)
    if trouble is not None:
        warnings.append(_no_answer(config, f"by {way.interface}", trouble))
    return Plan(
        places=(*_tapped(config, tapped), Place(shadow_side, Role.SHADOW)),
        endpoint=endpoint,
        address=address,
        guard=not way.local,
        warnings=tuple(warnings),
    )


def _isolated(
    config: Config,
    own: IPv4Interface | IPv6Interface,
    tapped: tuple[netlink.Interface, ...],
    shadow: Resolved,
) -> Plan:
    """The shadow is reached from a namespace, by a macvlan of its interface."""
    parent = _parent(config, shadow.address)
    _refuse_addresses(config, own, shadow.address)
    isolation = Isolation(parent, own, config.isolate_gateway)
    try:
        inside = isolation.interface()
        endpoint = Endpoint(
            family=shadow.family,
            address=shadow.sockaddr,
            key=address_bytes(shadow.address),
            port=config.shadow.port,
            interface=inside.name,
        )
        warnings = _silent(config, tapped)
        trouble = None if config.dry_run else isolation.call(trouble_with, endpoint)
        if trouble is not None:
            where = f"from {isolation}"
            warnings.append(
                f"{_no_answer(config, where, trouble)}; is the address free, and does the network "
                "let a second hardware address through (clouds often do not)?"
            )
    except BaseException:
        isolation.close()
        raise
    return Plan(
        places=(*_tapped(config, tapped), Place(inside, Role.SHADOW, room=isolation)),
        endpoint=endpoint,
        address=shadow.address,
        guard=True,
        warnings=tuple(warnings),
        isolation=isolation,
    )


def _parent(config: Config, address: IPv4Address | IPv6Address) -> netlink.Interface:
    """Whose child the macvlan becomes. The host itself needs no route to the shadow."""
    name = config.shadow_interface
    if name is None:
        way = netlink.route_to(str(address))
        if way is None:
            raise UsageError(
                f"--isolate: no route here says by which interface {address} is reached",
                "name it with --shadow-iface",
            )
        name = way.interface
    if name in config.interfaces and not config.allow_same_interface:
        raise UsageError(
            f"the macvlan to the shadow {config.shadow} would be the tapped interface's, {name}",
            "give it a way of its own with --shadow-iface, or say --allow-same-interface",
        )
    return _interface(name, "--shadow-iface")


def _refuse_addresses(
    config: Config, own: IPv4Interface | IPv6Interface, address: IPv4Address | IPv6Address
) -> None:
    ours = netlink.addresses()
    if str(address) in ours or address.is_loopback:
        raise UsageError(
            f"--shadow {config.shadow}: is on this host, which a macvlan does not reach",
            "leave out --isolate, or give the shadow an address of its own on that link",
        )
    if own.ip == address or str(own.ip) in ours:
        whose = "the shadow's own" if own.ip == address else "this host's already"
        raise UsageError(f"--isolate-address {own}: is {whose}", "give a free one of that subnet")
    reached = address in own.network or config.isolate_gateway is not None
    if own.version != address.version or not reached:
        raise UsageError(
            f"--isolate-address {own}: the shadow {address} is not in {own.network}",
            "give an address of the shadow's subnet, or the router to it with --isolate-gateway",
        )


def _tapped(config: Config, tapped: tuple[netlink.Interface, ...]) -> tuple[Place, ...]:
    return tuple(Place(one, Role.PRODUCTION, _facing(one, config.ports)) for one in tapped)


def _silent(config: Config, tapped: tuple[netlink.Interface, ...]) -> list[str]:
    silent = sorted(set(config.ports) - netlink.listening(config.ports))
    if silent and all(_facing(one, config.ports) is Facing.CLIENTS for one in tapped):
        ports = ", ".join(map(str, silent))
        return [f"nobody listens on port {ports} here yet; waiting for its traffic"]
    return []


def _no_answer(config: Config, where: str, trouble: str) -> str:
    """The warning. Raises ShadowUnreachable where an answer is required."""
    if config.require_shadow:
        raise ShadowUnreachable(
            f"shadow {config.shadow} {where}: {trouble}",
            "start it, or leave out --require-shadow",
        )
    return f"shadow {config.shadow} does not answer yet {where}: {trouble}"


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
