"""The keys of ``--isolate``: an address of our own, and what fits together."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import TYPE_CHECKING

from shadow_agent.config import parse
from shadow_agent.errors import UsageError

if TYPE_CHECKING:
    from shadow_agent.config.model import Config


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


def check(config: Config) -> None:
    """What no value shows by itself. Raises UsageError."""
    own, router = config.isolate_address, config.isolate_gateway
    if not config.isolate:
        if own is not None or router is not None:
            flag = "--isolate-address" if own is not None else "--isolate-gateway"
            raise UsageError(f"{flag}: without --isolate it means nothing", "add --isolate")
        return
    if own is None:
        raise UsageError(
            "--isolate: the namespace has no address",
            "give a free one of the shadow's subnet, as in --isolate-address 10.0.0.77/24",
        )
    if router is not None and router not in own.network:
        raise UsageError(
            f"--isolate-gateway {router}: is not in {own.network}",
            "give the router of that subnet, or correct --isolate-address",
        )
