"""What ``--allow``, ``--stub`` and ``--resolver`` name: networks and addresses, resolved once."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, NamedTuple

from shadow_agent.errors import UsageError
from shadow_agent.kernel.guard import MAX_ALLOWED, MAX_STUBBED, Network

RESOLV_CONF: Final = Path("/etc/resolv.conf")
DNS_PORT: Final = 53

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_MAX_PORT: Final = 65535
_MAX_FILE: Final = 64 << 10
_ALLOW_FIX: Final = "write 10.0.0.0/8, 10.0.0.5:5432, [2001:db8::5]:5432 or db.internal:5432"
_STUB_FIX: Final = "write HOST:PORT=ANSWER-FILE, or 'POST HOST:PORT=ANSWER-FILE'"


class Allowed(NamedTuple):
    """A network that may be called, on one port or (0) on any."""

    network: Network
    port: int


class StubPlace(NamedTuple):
    """Where a stub stands in: what was written, and its addresses."""

    method: str  # empty: any
    host: str
    port: int
    addresses: tuple[str, ...]
    file: Path


def allowed(written: Sequence[str]) -> list[Allowed]:
    """Every ``--allow``. Raises UsageError that names the one that is wrong, and the fix."""
    found = [one for text in written for one in _allow(text)]
    if len(found) > MAX_ALLOWED - 64:
        raise UsageError(f"--allow: {len(found)} networks", "sum them up in fewer")
    return found


def _allow(text: str) -> list[Allowed]:
    flag = f"--allow {text}"
    target, port = text, 0
    if not _is_network(text):
        target, port = _split_port(text, flag, _ALLOW_FIX)
    if "/" in target:
        try:
            network = ip_network(target)
        except ValueError as error:
            raise UsageError(f"{flag}: {error}", _ALLOW_FIX) from error
        if not port and (not network.prefixlen or _holds_every_ipv4(network)):
            raise UsageError(f"{flag}: would allow everything", "name what the shadow build needs")
        return [Allowed(network, port)]
    return [Allowed(ip_network(address), port) for address in resolve(target, flag)]


def _holds_every_ipv4(network: Network) -> bool:
    """IPv4 is looked up mapped, so such a one allows all of it."""
    return isinstance(network, IPv6Network) and network.supernet_of(_MAPPED)


def _is_network(text: str) -> bool:
    """Whether it is an address or CIDR as it stands, so that a colon in it starts no port."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _split_port(text: str, flag: str, fix: str, *, needed: bool = False) -> tuple[str, int]:
    """Host without brackets and port; 0 where there is none."""
    host, colon, digits = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        host, colon, digits = text, "", ""
    elif not colon:
        host, digits = text, ""
    if digits or colon:
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits) <= _MAX_PORT):
            raise UsageError(f"{flag}: {digits!r} is no port", fix)
    elif needed:
        raise UsageError(f"{flag}: has no port", fix)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host and "/" not in host:
        raise UsageError(f"{flag}: an IPv6 address with a port needs brackets", fix)
    if not host:
        raise UsageError(f"{flag}: names no host", fix)
    return host, int(digits or 0)


def resolve(host: str, flag: str) -> list[str]:
    """Every address of a name or address. Raises UsageError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{flag}: {host} does not resolve ({error})",
            "give its address or network, or mend the name service of this host",
        ) from error
    addresses = {_plain(str(info[4][0])) for info in found}
    return sorted(addresses)


def _plain(address: str) -> str:
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def stub_places(written: Sequence[str]) -> list[StubPlace]:
    """Every ``--stub``. Raises UsageError that names the one that is wrong, and the fix."""
    found = []
    for text in written:
        flag = f"--stub {text}"
        where, equals, file = text.partition("=")
        if not equals or not file:
            raise UsageError(f"{flag}: names no answer file", _STUB_FIX)
        method, _, endpoint = where.strip().rpartition(" ")
        if method and not (method.isascii() and method.isalpha() and method.isupper()):
            raise UsageError(f"{flag}: {method!r} is no method", _STUB_FIX)
        host, port = _split_port(endpoint, flag, _STUB_FIX, needed=True)
        found.append(StubPlace(method, host, port, tuple(resolve(host, flag)), Path(file)))
    places = {(address, one.port) for one in found for address in one.addresses}
    if len(places) > MAX_STUBBED // 4:
        raise UsageError(f"--stub: {len(places)} addresses and ports", "stub fewer")
    return found


def resolvers(written: Sequence[str], path: Path = RESOLV_CONF) -> list[Allowed]:
    """Port 53 of the resolvers named, else of ``/etc/resolv.conf``. Raises UsageError."""
    names = list(written) if written else _nameservers(path)
    found = []
    for name in names:
        try:
            network = ip_network(_plain(name))
        except ValueError as error:
            where = f"--resolver {name}" if written else f"{path}: nameserver {name}"
            raise UsageError(f"{where}: is no address", "write 10.0.0.53") from error
        found.append(Allowed(network, DNS_PORT))
    return found


def _nameservers(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return []  # no DNS then: refused like everything else
    lines = [line.split() for line in text.splitlines()]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def crosses_loopback(found: Sequence[Allowed], own: Collection[str] = ()) -> list[str]:
    """Networks of the allow-list through which every service of this host could be reached.

    ``own`` are the host's addresses: what listens on all of them listens there too.
    """
    local = IPv4Network("127.0.0.0/8")
    here = [ip_address(one.partition("%")[0]) for one in own]
    return [
        str(one.network)
        for one in found
        if not one.port
        and (
            one.network.is_loopback
            or one.network.overlaps(local)
            or any(address in one.network for address in here)
        )
    ]
