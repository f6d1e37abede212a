"""Real devices in a namespace: TAP and TUN with virtio headers, veth, raw sockets, links."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from shadow_agent.kernel import bpf
from shadow_agent.kernel.bpf import AttachType
from tests.testbed.ns import Namespace

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x1, 0x2, 0x1000, 0x4000
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_VNET_HDR = 263, 8, 15
_ETH_P_ALL = 0x0003

MAC = "02:00:00:00:00:02"


def virtio_header(packet: bytes, *, link: int) -> bytes:
    """``struct virtio_net_hdr``: as GSO when the packet is larger than an Ethernet frame."""
    if len(packet) <= 1500 + link:
        return bytes(10)
    v6 = packet[link] >> 4 == 6
    tcp_at = link + (40 if v6 else 20)
    header = tcp_at + (packet[tcp_at + 12] >> 4) * 4
    return struct.pack("=BBHHHH", 1, 4 if v6 else 1, header, 1400, tcp_at, 16)


def index(namespace: Namespace, name: str) -> int:
    """An interface's number."""
    return namespace.call(socket.if_nametoindex, name)


def ip_command(namespace: Namespace, *arguments: str) -> None:
    """``ip`` inside; raises CalledProcessError."""
    subprocess.run(namespace.command("ip", *arguments), check=True, capture_output=True)


@contextlib.contextmanager
def tun(namespace: Namespace, name: str, *, l3: bool = False) -> Iterator[int]:
    """A TAP (``l3``: TUN) device with virtio headers, up; what is written to the fd it receives."""
    if not Path("/dev/net/tun").exists():
        import pytest  # noqa: PLC0415 - the only way out for a host without it

        pytest.skip("/dev/net/tun")
    # inside: the device belongs where the file was opened
    fd = namespace.call(os.open, "/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    kind = (_IFF_TUN if l3 else _IFF_TAP) | _IFF_NO_PI | _IFF_VNET_HDR
    request = struct.pack("16sH22x", name.encode(), kind)
    try:
        namespace.call(fcntl.ioctl, fd, _TUNSETIFF, request)
        if not l3:
            ip_command(namespace, "link", "set", name, "address", MAC)
        # IPv6 on the device would send packets of its own
        namespace.sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
        ip_command(namespace, "link", "set", name, "mtu", "9000", "up")
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def attached(namespace: Namespace, name: str, *programs: tuple[int, AttachType]) -> Iterator[None]:
    """Programs on a device by TCX; a later one runs ahead of an earlier one of the same hook."""
    number = index(namespace, name)
    with contextlib.ExitStack() as stack:
        for program, hook in programs:
            stack.callback(os.close, namespace.call(bpf.create_tcx_link, program, number, hook))
        yield


@contextlib.contextmanager
def raw_socket(namespace: Namespace, name: str, *, virtio: bool = False) -> Iterator[socket.socket]:
    """AF_PACKET on one device; what is sent leaves through its egress hook."""
    with namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as made:
        made.bind((name, _ETH_P_ALL))
        made.settimeout(5)
        made.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        if virtio:
            made.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        yield made


def received_tag(sock: socket.socket) -> tuple[bytes, int | None]:
    """The next frame, and the tag in its metadata (``struct tpacket_auxdata``)."""
    frame, ancillary, _, _ = sock.recvmsg(65536, 64)
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, tci, _ = struct.unpack("=IIIHHHH", data[:20])
            return frame, tci & 0xFFF if status & 0x10 else None
    return frame, None


class _Load(IntEnum):
    PROG_LOAD = 5


def load_vlan_push(*tags: tuple[int, int]) -> int:
    """A tc program that pushes (ethertype, vlan) one after the other, then says "next"."""
    code = b"\xbf\x16" + bytes(6)  # r6 = r1
    for ethertype, vlan in tags:
        code += b"\xbf\x61" + bytes(6)  # r1 = r6
        code += struct.pack("=BBhi", 0xB7, 2, 0, socket.htons(ethertype))
        code += struct.pack("=BBhi", 0xB7, 3, 0, vlan)
        code += struct.pack("=BBhi", 0x85, 0, 0, 18)  # bpf_skb_vlan_push
    code += struct.pack("=BBhi", 0xB7, 0, 0, -1) + b"\x95" + bytes(7)
    instructions, licence = ctypes.create_string_buffer(code, len(code)), ctypes.c_char_p(b"GPL")
    attributes = bpf._attributes(
        "=IIQQIIQII16sII",
        *(3, len(code) // 8, ctypes.addressof(instructions)),
        *(ctypes.cast(licence, ctypes.c_void_p).value or 0, 0, 0, 0, 0, 0),
        *(b"vlan_push", 0, 0),
    )
    return bpf._call(_Load.PROG_LOAD, attributes)  # type: ignore[arg-type]


def set_gso_max(namespace: Namespace, name: str, size: int) -> None:
    """Let TCP build packets of ``size`` bytes (BIG TCP); OSError where the kernel cannot.

    By hand: neither iproute2 of Debian 12 nor pyroute2 knows the limits of IPv4.
    """
    limits = (41, 58, 63, 64)  # IFLA_GSO_MAX_SIZE, _GRO_MAX_SIZE, _GSO_IPV4_…, _GRO_IPV4_…
    attributes = b"".join(struct.pack("=HHI", 8, limit, size) for limit in limits)
    body = struct.pack("=BxHiII", 0, 0, index(namespace, name), 0, 0) + attributes
    with namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        # RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK
        netlink.send(struct.pack("=IHHII", 16 + len(body), 16, 5, 1, 0) + body)
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
