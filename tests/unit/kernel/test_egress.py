"""The packet socket: its filter lets TCP to the ports named through, nothing else."""

from __future__ import annotations

import socket
import struct

import pytest

from shadow_agent.kernel.egress import dropped, open_socket, program
from tests.unit.isolated import ip, isolated, needs_root


def _accepts(packet: bytes, ports: tuple[int, ...]) -> bool:
    """Runs classic BPF as the kernel does; a load beyond the packet ends it with 0."""
    a = x = at = 0
    lines = program(ports)
    while True:
        code, yes, no, k = lines[at]
        at += 1
        try:
            if code == 0x30:
                a = packet[k]
            elif code == 0x28:
                (a,) = struct.unpack_from(">H", packet, k)
            elif code == 0x48:
                (a,) = struct.unpack_from(">H", packet, x + k)
            elif code == 0xB1:
                x = 4 * (packet[k] & 0xF)
            elif code == 0x54:
                a &= k
            elif code == 0x15:
                at += yes if a == k else no
            elif code == 0x45:
                at += yes if a & k else no
            else:
                assert code == 0x06
                return k != 0
        except (IndexError, struct.error):
            return False


def _four(port: int, protocol: int = 6, fragment: int = 0, options: int = 0) -> bytes:
    head = struct.pack(">BBHHHBBH8s", 0x45 + options, 0, 40, 0, fragment, 64, protocol, 0, b"a" * 8)
    return head + bytes(4 * options) + struct.pack(">HH", 4000, port) + bytes(16)


def _six(port: int, protocol: int = 6) -> bytes:
    return struct.pack(">IHBB32s", 6 << 28, 20, protocol, 64, b"a" * 32) + struct.pack(
        ">HH", 4000, port
    )


@pytest.mark.parametrize("ports", [(80,), (25, 80, 443), tuple(range(20, 84))])
def test_the_filter(ports: tuple[int, ...]) -> None:
    """Both families, options, fragments, other protocols, other ports, cut packets."""
    for port in ports:
        assert _accepts(_four(port), ports)
        assert _accepts(_four(port, options=3), ports)
        assert _accepts(_six(port), ports)
        assert not _accepts(_four(port, protocol=17), ports)
        assert not _accepts(_four(port, fragment=5), ports)
        assert not _accepts(_six(port, protocol=17), ports)
        assert not _accepts(_four(port)[:20], ports)
    for other in (ports[0] - 1, ports[-1] + 1):
        assert not _accepts(_four(other), ports)
        assert not _accepts(_six(other), ports)
    assert not _accepts(b"\0" * 60, ports)


@needs_root
def test_what_passes_is_seen() -> None:
    """In the kernel's own eyes, by either family; nothing was dropped."""

    def watch() -> list[int]:
        ip("link set lo up")
        with (
            open_socket("lo", (7001, 7002)) as packets,
            socket.create_server(("127.0.0.1", 7001)),
            socket.create_server(("127.0.0.1", 7003)),
            socket.create_server(("::1", 7002), family=socket.AF_INET6),
        ):
            packets.settimeout(10)
            for where in (("127.0.0.1", 7003), ("127.0.0.1", 7001), ("::1", 7002)):
                socket.create_connection(where).close()
            versions: list[int] = []
            while 6 not in versions:
                versions.append(packets.recv(100)[0] >> 4)
            assert dropped(packets) == 0
            return versions

    assert {4, 6} == set(isolated(watch))


@needs_root
def test_an_interface_that_is_not_there() -> None:
    """An error, and nothing open."""
    with pytest.raises(OSError, match="No such device"):
        open_socket("nothere", (80,))
