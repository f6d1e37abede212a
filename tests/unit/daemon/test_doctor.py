"""Doctor in namespaces that have what is needed, or not."""

import socket
import threading
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

import pytest

from shadow_agent.config import ShadowUrl
from shadow_agent.daemon import doctor
from shadow_agent.daemon.doctor import Wanted
from shadow_agent.kernel import netlink
from shadow_agent.kernel.features import Finding
from tests.unit.isolated import ip, isolated, needs_root, open_files, two_interfaces

pytestmark = needs_root


def named(found: Iterable[Finding], name: str) -> Finding:
    """The one finding of that name."""
    (one,) = [one for one in found if one.name == name]
    return one


def test_a_host_that_can(tmp_path: Path) -> None:
    """Everything there: every line is ok."""

    def look() -> list[Finding]:
        two_interfaces()
        with socket.create_server(("10.9.1.2", 8080)), socket.create_server(("10.9.0.2", 8081)):
            return doctor.check(
                Wanted(
                    interfaces=("front",),
                    ports=(8080,),
                    shadow=ShadowUrl("10.9.0.2", 8081),
                    data_dir=tmp_path / "new",
                )
            )

    found = isolated(look)
    assert [one for one in found if one.ok is False] == []
    for name in (
        "interface front",
        "offloads front",
        "port 8080",
        "route to shadow",
        "shadow",
        "data dir",
        "user",
    ):
        assert named(found, name).ok is True
    assert not (tmp_path / "new").exists()


def test_interfaces() -> None:
    """Absent, down, without a carrier, without an Ethernet header."""

    def look() -> dict[str, list[Finding]]:
        two_interfaces()
        ip("link set client down")
        ip("link add idle type veth peer name other")
        ip("tuntap add tun0 mode tun")
        return {name: doctor.interface(name) for name in ("nope", "idle", "front", "tun0", "lo")}

    found = isolated(look)
    assert found["nope"][0].ok is False
    assert "no such interface" in found["nope"][0].detail
    assert found["idle"][0].fix == "ip link set idle up"
    assert found["front"][0].ok is None
    assert "no carrier" in found["front"][0].detail
    assert "layer 3" in found["tun0"][0].detail
    assert "loopback" in found["lo"][0].detail


def test_lro_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are only named."""
    monkeypatch.setattr(doctor, "offloads", lambda _: {"gro": True, "lro": True})
    found = doctor._offloads("eth0")
    assert found.ok is None
    assert found.fix == "ethtool -K eth0 lro off"
    monkeypatch.setattr(doctor, "offloads", lambda _: {"gro": True, "lro": False})
    found = doctor._offloads("eth0")
    assert found.ok is True
    assert found.detail.startswith("gro on, lro off")


def test_a_port_nobody_listens_on_is_a_warning() -> None:
    """Boot order, containers: it may come."""
    (found,) = isolated(lambda: doctor.listening((8080,)))
    assert found.ok is None
    assert found.fix


def test_routes_to_the_shadow() -> None:
    """None, by the tapped interface, allowed, the other one asked for, the service itself."""

    def look() -> dict[str, Finding]:
        two_interfaces()
        tapped = Wanted(interfaces=("back",), ports=(80,))
        return {
            "none": doctor.shadow_route(tapped, "192.0.2.1", 80),
            "tapped": doctor.shadow_route(tapped, "10.9.0.9", 80),
            "allowed": doctor.shadow_route(
                Wanted(interfaces=("back",), ports=(80,), allow_same_interface=True), "10.9.0.9", 80
            ),
            "other": doctor.shadow_route(
                Wanted(interfaces=("front",), ports=(80,), shadow_interface="back"), "10.9.0.9", 80
            ),
            "absent": doctor.shadow_route(
                Wanted(interfaces=("front",), shadow_interface="nope"), "10.9.0.9", 80
            ),
            "itself": doctor.shadow_route(
                Wanted(interfaces=("front",), ports=(80,)), "fd09:1::2", 80
            ),
            "neighbour": doctor.shadow_route(
                Wanted(interfaces=("front",), ports=(80,)), "10.9.1.2", 81
            ),
        }

    found = isolated(look)
    assert {name for name, one in found.items() if one.ok is True} == {
        "allowed",
        "other",
        "neighbour",
    }
    assert found["none"].fix.startswith("ip route add 192.0.2.1")
    assert "which is tapped" in found["tapped"].detail
    assert "--allow-same-interface" in found["tapped"].fix
    assert "back" in found["other"].detail
    assert "nope" in found["absent"].detail
    assert "[fd09:1::2]:80 is on this host" in found["itself"].detail


def test_a_shadow_that_does_not_answer_is_a_warning() -> None:
    """It may come; a name that means nothing does not."""

    def look() -> tuple[list[Finding], ...]:
        two_interfaces()
        wanted = Wanted(interfaces=("front",), ports=(80,))
        return (
            doctor.shadow(wanted, ShadowUrl("10.9.0.2", 1)),
            doctor.shadow(wanted, ShadowUrl("no-such-name.invalid", 1)),
            doctor.shadow(wanted, ShadowUrl("192.0.2.1", 1)),
        )

    refused, unnamed, unrouted = isolated(look)
    assert [one.name for one in unrouted] == ["route to shadow"]  # it is not tried
    assert named(refused, "shadow").ok is None
    assert "Connection refused" in named(refused, "shadow").detail
    assert named(unnamed, "shadow").ok is False


def test_a_shadow_by_its_own_interface_is_reached_bound() -> None:
    """Bound to the interface, as the workers' sockets are."""

    def look() -> list[Finding]:
        two_interfaces()
        wanted = Wanted(interfaces=("front",), ports=(80,), shadow_interface="lo")
        with socket.create_server(("127.0.0.1", 0)) as server:
            return doctor.shadow(wanted, ShadowUrl("127.0.0.1", server.getsockname()[1]))

    assert named(isolated(look), "shadow").ok is True


def test_folder_and_user(tmp_path: Path) -> None:
    """A data directory below a file, a user that is none: no, with the fix of the config."""
    (tmp_path / "file").touch()
    folder = doctor.data_dir(tmp_path / "file" / "x")
    assert folder.ok is False
    assert folder.fix
    assert doctor.user("no-such-user").ok is False
    assert doctor.user("nobody").ok is True


def test_only_what_is_known_is_asked(tmp_path: Path) -> None:
    """Without interface, port and shadow: the kernel, the folder, the user."""
    names = {one.name for one in doctor.check(Wanted(data_dir=tmp_path))}
    assert not any(name.startswith(("interface", "port", "route", "shadow")) for name in names)
    assert {"kernel", "ring buffer", "data dir", "user"} <= names


def test_settings_fill_in(tmp_path: Path) -> None:
    """Fields doctor does not know of are left out."""
    found = Wanted.of({"ports": (1,), "workers": 3, "data_dir": tmp_path})
    assert found == Wanted(ports=(1,), data_dir=tmp_path)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    """Neither descriptors nor threads: a start may follow."""
    doctor.check(Wanted(interfaces=("lo",), data_dir=tmp_path))
    before = open_files()
    doctor.check(Wanted(interfaces=("lo",), data_dir=tmp_path))
    assert open_files() == before
    assert threading.active_count() == 1


def test_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried from a namespace on the shadow's interface; nothing of it stays."""

    def look() -> list[Finding]:
        two_interfaces()
        wanted = Wanted(
            shadow=ShadowUrl("10.9.0.9", 8081),
            shadow_interface="back",
            isolate=True,
            isolate_address=ip_interface("10.9.0.77/24"),
        )
        return doctor.shadow(wanted, ShadowUrl("10.9.0.9", 8081))

    found = isolated(look)
    assert named(found, "isolation").detail.startswith("10.9.0.77/24 at 02:")
    assert named(found, "shadow").ok is None
    assert "clouds often do not" in named(found, "shadow").fix
    assert named(found, "forwarding back").ok is True
    with monkeypatch.context() as host:
        host.setattr(netlink, "forwards", lambda _: True)
        forwards = named(isolated(look), "forwarding back")
    assert (forwards.ok, forwards.fix[:22]) == (None, "take this host's addre")


def test_what_cannot_be_isolated() -> None:
    """Without an interface, or with one that has no macvlan."""

    def look() -> list[Finding]:
        two_interfaces()
        url = ShadowUrl("10.9.0.9", 8081)
        wanted = Wanted(isolate=True, isolate_address=ip_interface("10.9.0.77/24"))
        return [
            *doctor.shadow(replace(wanted, shadow_interface="nope"), url),
            *doctor.shadow(replace(wanted, shadow_interface="lo"), url),
        ]

    nope, lo = isolated(look)
    assert (nope.ok, lo.ok) == (False, False)
    assert "no interface nope" in nope.detail
    assert "a macvlan needs" in lo.fix


def test_what_isolates() -> None:
    """Filter, conntrack and nftables are asked for too."""
    found = isolated(lambda: doctor.check(Wanted()))
    assert (named(found, "seccomp").ok, named(found, "seccomp").detail) == (True, "on")
    assert named(found, "notrack").ok is True
    assert named(found, "conntrack").ok is True


def test_the_shadows_interface_is_looked_at_too(tmp_path: Path) -> None:
    """Once, also where it is the tapped one."""

    def look() -> list[Finding]:
        two_interfaces()
        wanted = Wanted(interfaces=("front",), shadow_interface="back", data_dir=tmp_path)
        same = replace(wanted, shadow_interface="front")
        return [*doctor.check(wanted), *doctor.check(same)]

    found = [one.name for one in isolated(look)]
    assert (found.count("interface front"), found.count("interface back")) == (2, 1)
