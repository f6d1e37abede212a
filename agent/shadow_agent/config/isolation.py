"""The keys of ``--isolate``: an address of our own, and the way out."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

from shadow_agent.config import parse


def own_address(value: object) -> IPv4Interface | IPv6Interface:
    """A free address of the shadow's subnet, with its prefix length: ``10.0.0.77/24``."""
    written = parse.text(value)
    try:
        found = ip_interface(written)
    except ValueError as error:
        raise ValueError(f"{written!r} is no address; write it as in 10.0.0.77/24") from error
    network = found.network
    names_all = network.num_addresses > 2 and found.ip in {
        network.network_address,
        network.broadcast_address,
    }
    if "/" not in written or names_all:
        raise ValueError(f"{written!r} is not one host in its subnet; write it as in 10.0.0.77/24")
    return found


def gateway(value: object) -> IPv4Address | IPv6Address:
    """The address of a router, without brackets."""
    try:
        return ip_address(parse.text(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no address; write it as in 10.0.0.1") from error
