"""What the allow-list and the stubs name; bad ones are refused by name, with the fix."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.errors import UsageError
from shadow_agent.guard.endpoints import allowed, crosses_loopback, resolvers, stub_places

HOSTS = {"db.internal": ["10.0.0.5", "fd00::5"], "localhost": ["127.0.0.1"]}


@pytest.fixture(autouse=True)
def name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names, and addresses."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int | None, type: int = 0) -> list[Any]:  # noqa: A002
        if host in HOSTS:
            return [(0, 0, 0, "", (address, 0)) for address in HOSTS[host]]
        return list(real(host, port, type=type, flags=socket.AI_NUMERICHOST))

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.0/8", ["10.0.0.0/8 0"]),
        ("10.0.0.0/8:5432", ["10.0.0.0/8 5432"]),
        ("10.0.0.5", ["10.0.0.5/32 0"]),
        ("10.0.0.5:5432", ["10.0.0.5/32 5432"]),
        ("fd00::/64", ["fd00::/64 0"]),
        ("fd00::5", ["fd00::5/128 0"]),
        ("[fd00::5]", ["fd00::5/128 0"]),
        ("[fd00::5]:80", ["fd00::5/128 80"]),
        ("[fd00::/64]:80", ["fd00::/64 80"]),
        ("db.internal", ["10.0.0.5/32 0", "fd00::5/128 0"]),
        ("db.internal:5432", ["10.0.0.5/32 5432", "fd00::5/128 5432"]),
        ("::ffff:10.0.0.5", ["10.0.0.5/32 0"]),
        ("0.0.0.0/0:53", ["0.0.0.0/0 53"]),
    ],
)
def test_allowed(written: str, expected: list[str]) -> None:
    """Networks, addresses and names, with a port or without; every address of a name."""
    assert [f"{one.network} {one.port}" for one in allowed([written])] == expected


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("nowhere.invalid", "does not resolve"),
        ("nowhere.invalid:80", "does not resolve"),
        ("10.0.0.1/8", "host bits"),
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("0.0.0.0/0", "everything"),
        ("::/0", "everything"),
        ("::/1", "everything"),
        ("::ffff:0:0/96", "everything"),
        ("db.internal:0", "no port"),
        ("db.internal:http", "no port"),
        ("db.internal:70000", "no port"),
        (":80", "no host"),
        ("", "no host"),
    ],
)
def test_bad_ones_are_named(written: str, reason: str) -> None:
    """What, why, and how to write it; exit 2."""
    with pytest.raises(UsageError, match=reason) as error:
        allowed([written])
    assert f"--allow {written}".rstrip() in str(error.value)
    assert error.value.fix
    assert error.value.exit_code == 2


def test_a_mapped_network_is_its_own() -> None:
    """IPv4 through IPv6 sockets is looked up as IPv4."""
    assert [str(one.network) for one in allowed(["::ffff:10.0.0.5"])] == ["10.0.0.5/32"]


def test_stubs() -> None:
    """Method, host, port, file; each address of the name."""
    (one,) = stub_places(["POST db.internal:80=/a=b.json"])
    assert one == ("POST", "db.internal", 80, ("10.0.0.5", "fd00::5"), Path("/a=b.json"))
    (one,) = stub_places(["[fd00::9]:25=mail.json"])
    assert (one.method, one.host, one.port) == ("", "fd00::9", 25)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("db.internal:80", "answer file"),
        ("db.internal:80=", "answer file"),
        ("db.internal=a.json", "has no port"),
        ("post db.internal:80=a.json", "no method"),
        ("nowhere.invalid:80=a.json", "does not resolve"),
    ],
)
def test_bad_stubs_are_named(written: str, reason: str) -> None:
    """As the allow-list's."""
    with pytest.raises(UsageError, match=reason) as error:
        stub_places([written])
    assert f"--stub {written}" in str(error.value)


def test_resolvers(tmp_path: Path) -> None:
    """Port 53 of what resolv.conf says, or of those named."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("# x\nsearch a\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver\n")
    assert [f"{network} {port}" for network, port in resolvers([], conf)] == [
        "10.0.0.53/32 53",
        "fe80::1/128 53",
    ]
    assert [str(one.network) for one in resolvers(["10.1.1.1"], conf)] == ["10.1.1.1/32"]
    assert resolvers([], tmp_path / "none") == []
    with pytest.raises(UsageError, match="--resolver dns"):
        resolvers(["dns"], conf)


def test_loopback_without_a_port_is_noticed() -> None:
    """A mail relay may listen there."""
    assert crosses_loopback(allowed(["127.0.0.0/8", "127.0.0.1:5432", "10.0.0.1", "::1"])) == [
        "127.0.0.0/8",
        "::1/128",
    ]


def test_a_network_that_holds_this_host_is_noticed() -> None:
    """What listens on all its addresses is reached by this one too; not by another port."""
    found = allowed(["10.1.0.0/16", "10.2.0.0/16", "10.1.0.9:25", "fd00::/64"])
    assert crosses_loopback(found, {"10.1.0.9", "fe80::1%eth0"}) == ["10.1.0.0/16"]
