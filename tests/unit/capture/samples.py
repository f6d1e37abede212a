"""Frames that carry one request, in every wrapping that the capture room reads.

scapy builds what it knows; the rest are headers written out by hand from their standards.
"""

from struct import pack
from typing import Final

from scapy.contrib.chdlc import CHDLC
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.etherip import EtherIP
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import (
    GRE,
    LLC,
    SNAP,
    CookedLinux,
    CookedLinuxV2,
    Dot1AD,
    Dot1Q,
    Dot3,
    Ether,
    Loopback,
)
from scapy.layers.l2tp import L2TP
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder, DecoderLimits
from shadow_agent.capture.frame import Frame
from shadow_agent.flow.segment import Segment, flow_key

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
KEY4: Final = flow_key("192.0.2.1", 40_000, "198.51.100.7", 80)
KEY6: Final = flow_key("2001:db8::1", 40_000, "2001:db8::7", 80)

Sample = tuple[int, bytes]  # LINKTYPE and frame

# With both addresses given, so that scapy does not ask the machine's routes.
_MACS: Final = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
_ETHER: Final = Ether(**_MACS)


def _ether(number: int) -> Packet:
    return Ether(**_MACS, type=number)


def tcp(payload: bytes = REQUEST, flags: str = "PA", **fields: object) -> Packet:
    """A TCP segment of the client."""
    return TCP(sport=40_000, dport=80, seq=1000, ack=2000, flags=flags, **fields) / Raw(payload)


def ip4(inner: Packet | None = None, **fields: object) -> Packet:
    """From client to service over IPv4."""
    return IP(src="192.0.2.1", dst="198.51.100.7", **fields) / (inner or tcp())


def ip6(inner: Packet | None = None) -> Packet:
    """From client to service over IPv6."""
    return IPv6(src="2001:db8::1", dst="2001:db8::7") / (inner or tcp())


def outer(inner: Packet, **fields: object) -> bytes:
    """In an IPv4 packet between two tunnel ends, on Ethernet."""
    return bytes(_ETHER / IP(src="10.9.9.1", dst="10.9.9.2", **fields) / inner)


def udp(port: int, inner: Packet | bytes) -> bytes:
    """In a UDP datagram between two tunnel ends, on Ethernet."""
    payload = Raw(inner) if isinstance(inner, bytes) else inner
    return outer(UDP(sport=54_321, dport=port) / payload)


def decoder(*ports: int, limits: DecoderLimits | None = None) -> Decoder:
    """A fresh decoder."""
    return Decoder(frozenset(ports), limits or DecoderLimits(), PacketCounts())


def frame(sample: Sample, ts: int = 1, *, wire: int | None = None) -> Frame:
    """The sample as a capture file gives it."""
    link, data = sample
    return Frame(ts, link, data, len(data) if wire is None else wire)


def balance(counts: PacketCounts) -> bool:
    """Whether every packet that was seen has its name."""
    named = counts.not_service + counts.no_payload + counts.copied
    return counts.seen == named + sum(counts.unsupported.values())


def carries_the_request(sample: Sample) -> bool:
    """Whether a sample decodes to exactly the client's request."""
    reader = decoder()
    segments = reader.decode(frame(sample))
    assert balance(reader.counts)
    return [_told(segment) for segment in segments] in ([_expected(KEY4)], [_expected(KEY6)])


def _told(segment: Segment) -> tuple[object, ...]:
    return segment[1:]


def _expected(key: bytes) -> tuple[object, ...]:
    return (key, 0, 1000, 2000, 0x18, REQUEST, len(REQUEST), True)


V4: Final = bytes(ip4())
V6: Final = bytes(ip6())
ETHERNET: Final = bytes(_ETHER / ip4())
_SNAP: Final = bytes(LLC() / SNAP(OUI=0, code=0x0800))


def _dot11(**fields: object) -> Packet:
    return Dot11(type=2, subtype=0, **fields) / Raw(_SNAP + V4)


def _aggregate() -> bytes:
    inner = _SNAP + bytes(ip4(tcp(b"", "A")))
    parts = [bytes(12) + pack(">H", len(part)) + part for part in (inner, _SNAP + V4)]
    padded = parts[0] + bytes(-len(parts[0]) % 4) + parts[1]
    return bytes(Dot11(type=2, subtype=8)) + b"\x80\x00" + padded


LINK: Final[dict[str, Sample]] = {
    "ethernet": (1, ETHERNET),
    "ethernet-padded": (1, bytes(_ETHER / ip4()) + b"padding and checksum"),
    "ethernet-ipv6": (1, bytes(_ETHER / ip6())),
    "802.3-snap": (1, bytes(Dot3() / LLC() / SNAP() / ip4())),
    "802.3-ip-sap": (1, bytes(12) + pack(">H", 3 + len(V4)) + b"\x06\x06\x03" + V4),
    "isl": (1, b"\x01\x00\x0c\x00\x00" + bytes(21) + ETHERNET),
    "vlan": (1, bytes(_ETHER / Dot1Q(vlan=7) / ip4())),
    "vlan-snap": (1, bytes(_ETHER / Dot1Q(vlan=7, type=8 + len(V4))) + _SNAP + V4),
    "qinq": (1, bytes(_ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=8) / ip4())),
    "qinq-9100": (1, bytes(_ether(0x9100) / Dot1Q(vlan=8) / ip6())),
    "vn-tag": (1, bytes(_ether(0x8926)) + b"\x00\x01\x00\x02\x08\x00" + V4),
    "cisco-metadata": (1, bytes(_ether(0x8909)) + b"\1\1\0\1\0\7\x08\x00" + V4),
    "e-tag": (1, bytes(_ether(0x893F)) + bytes(6) + b"\x08\x00" + V4),
    "hsr": (1, bytes(_ether(0x892F)) + b"\0\x40\0\1\x08\x00" + V4),
    "mac-in-mac": (1, bytes(_ether(0x88E7)) + b"\0\0\0\x07" + ETHERNET),
    "trill": (1, bytes(_ether(0x22F3)) + bytes(6) + ETHERNET),
    "fabric-path": (1, bytes(_ether(0x8903)) + b"\0\x47" + ETHERNET),
    "netanalyzer": (240, bytes(4) + ETHERNET),
    "netanalyzer-preamble": (241, bytes(12) + ETHERNET),
    "mpacket": (274, b"\x55" * 7 + b"\xd5" + ETHERNET),
    "dsa": (283, ETHERNET[:12] + b"tag " + ETHERNET[12:]),
    "dsa-broadcom": (281, ETHERNET[:12] + b"tag " + ETHERNET[12:]),
    "dsa-broadcom-before": (282, b"tag " + ETHERNET),
    "dsa-longer": (284, ETHERNET[:12] + b"\xda\xda\0\0tag " + ETHERNET[12:]),
    "dsa-ethertype": (1, ETHERNET[:12] + b"\xda\xda\0\0tag " + ETHERNET[12:]),
    "slip": (8, bytes(16) + V4),
    "cooked": (113, bytes(CookedLinux() / ip4())),
    "cooked-vlan": (113, bytes(CookedLinux(proto=0x8100)) + bytes(Dot1Q(vlan=3) / ip4())),
    "cooked-2": (276, bytes(CookedLinuxV2(proto=0x0800) / ip4())),
    "apple-1394": (138, bytes(16) + b"\x08\x00" + V4),
    "ip-over-infiniband": (242, b"\x08\x00\0\0" + V4),
    "atm-rfc1483": (100, _SNAP + V4),
    "atm-nlpid": (100, b"\xfe\xfe\x03\xcc" + V4),
    "atm-bridged": (100, b"\xaa\xaa\x03\x00\x80\xc2\x00\x07\x00\x00" + ETHERNET),
    "fibre-channel": (122, bytes(16) + _SNAP + V4),
    "fddi": (10, b"\x50" + bytes(12) + _SNAP + V4),
    "token-ring": (6, b"\x10\x40" + bytes(12) + _SNAP + V4),
    "token-ring-routed": (
        6,
        b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\xc4\0\0\1" + _SNAP + V4,
    ),
    "raw": (101, V4),
    "raw-ipv6": (101, V6),
    "raw-12": (12, V4),
    "ipv4": (228, V4),
    "ipv6": (229, V6),
    "null-little": (0, bytes(Loopback(type=2) / ip4())),
    "null-big": (0, b"\0\0\0\2" + V4),
    "null-ipv6-darwin": (0, b"\x1e\0\0\0" + V6),
    "loop": (108, b"\0\0\0\x18" + V6),
    "enc": (109, b"\2\0\0\0" + bytes(8) + V4),
    "pflog": (117, b"\x3d\x02" + bytes(62) + V4),
    "nflog": (239, b"\2\0\0\0" + b"\x08\0\1\0abcd" + pack("<HH", 4 + len(V4), 9) + V4),
    "nflog-big": (239, b"\x0a\0\0\0" + b"\0\x06\0\1ab\0\0" + pack(">HH", 4 + len(V6), 9) + V6),
    "arcnet": (7, b"\1\2\xd4\0\0\0" + V4),
    "arcnet-exception": (7, b"\1\2\xd4\xff\0\0\xd4\0\0\0" + V4),
    "arcnet-old": (7, b"\1\2\xf0" + V4),
    "arcnet-linux": (129, b"\1\2\0\0\xd4\0\0\0" + V4),
    "arcnet-linux-old": (129, b"\1\2\0\0\xf0" + V4),
}

SERIAL: Final[dict[str, Sample]] = {
    "ppp": (9, bytes(PPP(proto=0x21) / ip4())),
    "ppp-address": (9, bytes(HDLC() / PPP(proto=0x21) / ip4())),
    "ppp-compressed": (9, b"\x57" + V6),
    "ppp-multilink": (9, b"\x00\x3d\xc0\0\0\1\x00\x21" + V4),
    "ppp-bridged": (9, b"\x00\x31\x00\x01" + ETHERNET),
    "ppp-mpls": (9, b"\x02\x81" + bytes(MPLS(label=3, s=1)) + V4),
    "ppp-hdlc": (50, b"\xff\x03\x00\x21" + V4),
    "ppp-hdlc-cisco": (50, bytes(CHDLC(address=0x0F, proto=0x0800) / ip4())),
    "pppd": (166, b"\x01\x03\x00\x21" + V4),
    "ppp-direction": (204, b"\x00\xff\x03\x00\x21" + V4),
    "chdlc": (104, bytes(CHDLC(proto=0x86DD)) + V6),
    "chdlc-direction": (205, b"\x01" + bytes(CHDLC(proto=0x0800)) + V4),
    "pppoe": (1, bytes(_ETHER / PPPoE(sessionid=1) / PPP(proto=0x21) / ip4()) + b"pad"),
    "pppoe-qinq": (1, bytes(_ETHER / Dot1AD() / Dot1Q() / PPPoE() / PPP(proto=0x57) / ip6())),
    "pppoe-bare": (51, bytes(PPPoE(sessionid=1) / PPP(proto=0x21) / ip4())),
    "frame-relay": (107, b"\x18\x41\x03\xcc" + V4),
    "frame-relay-snap": (107, b"\x18\x41\x03\x00\x80\x00\x00\x00\x08\x00" + V4),
    "frame-relay-cisco": (107, b"\x18\x41\x08\x00" + V4),
    "frame-relay-direction": (206, b"\x01\x18\x41\x03\xcc" + V4),
    "sunatm": (123, b"\x02\0\0\x20" + _SNAP + V4),
    "sunatm-lane": (123, b"\x01\0\0\x20\0\0" + ETHERNET),
    "mpls": (1, bytes(_ETHER / MPLS(label=16, s=0) / MPLS(label=17, s=1) / ip4())),
    "mpls-in-vlan": (1, bytes(_ETHER / Dot1Q(type=0x8847) / MPLS(label=16, s=1) / ip6())),
    "mpls-pseudowire": (1, bytes(_ETHER / MPLS(label=16, s=1)) + bytes(4) + ETHERNET),
    "mpls-ethernet": (1, bytes(_ETHER / MPLS(label=16, s=1)) + b"\xaa" + ETHERNET[1:]),
    "mpls-link": (219, bytes(MPLS(label=16, s=1)) + V4),
    "mpls-in-ip": (1, outer(MPLS(label=16, s=1) / ip4(), proto=137)),
}

WIRELESS: Final[dict[str, Sample]] = {
    "802.11": (105, bytes(_dot11(FCfield=1))),
    "802.11-wds": (105, bytes(_dot11(FCfield=3, addr4="02:00:00:00:00:04"))),
    "802.11-qos": (105, bytes(Dot11(type=2, subtype=8) / Dot11QoS() / Raw(_SNAP + V4))),
    "802.11-padded": (105, bytes(Dot11(type=2, subtype=8) / Dot11QoS()) + b"\0\0" + _SNAP + V4),
    "802.11-htc": (105, bytes(Dot11(type=2, subtype=8, FCfield=0x80)) + bytes(6) + _SNAP + V4),
    "802.11-aggregate": (105, _aggregate()),
    "radiotap": (127, bytes(RadioTap() / _dot11())),
    "prism-little": (119, b"\x44\0\0\0\x90\0\0\0" + bytes(136) + bytes(_dot11())),
    "prism-big": (119, b"\0\0\0\x44\0\0\0\x90" + bytes(136) + bytes(_dot11())),
    "avs": (163, b"\x80\x21\x10\x01\0\0\0\x40" + bytes(56) + bytes(_dot11())),
    "ppi": (192, b"\0\0\x08\0\x69\0\0\0" + bytes(_dot11())),
    "ppi-extended": (192, b"\0\0\x0c\0\x01\0\0\0abcd" + ETHERNET),
    "pktap": (258, pack("<III", 108, 1, 1) + bytes(96) + ETHERNET),
    "erf": (197, bytes(8) + b"\x02\0\0\x64\0\0\0\x40\0\0" + ETHERNET),
    "erf-extended": (197, bytes(8) + b"\x96" + bytes(7) + b"\x80" + bytes(15) + V4),
}

NETWORK: Final[dict[str, Sample]] = {
    "ipv4-options": (1, bytes(_ETHER / ip4(options=[b"\x94\x04\x00\x00"]))),
    "ipv4-length-zero": (101, bytes(ip4(len=0))),
    "tcp-options": (101, bytes(ip4(tcp(options=[("Timestamp", (1, 2)), ("NOP", None)])))),
    "hop-by-hop": (101, bytes(ip6(IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(12))]) / tcp()))),
    "routing": (101, bytes(ip6(IPv6ExtHdrRouting(addresses=["::2"], segleft=0) / tcp()))),
    "destination": (101, bytes(ip6(IPv6ExtHdrDestOpt() / tcp()))),
    "atomic-fragment": (101, bytes(ip6(IPv6ExtHdrFragment(id=5) / tcp()))),
    "all-extensions": (
        101,
        bytes(
            ip6(
                IPv6ExtHdrHopByHop()
                / IPv6ExtHdrDestOpt()
                / IPv6ExtHdrRouting()
                / IPv6ExtHdrFragment()
                / IPv6ExtHdrDestOpt()
                / tcp()
            )
        ),
    ),
    "ah-ipv6": (101, bytes(ip6(AH(nh=6, payloadlen=4, icv=bytes(12)) / tcp()))),
    "ah-ipv4": (101, bytes(ip4(AH(nh=6, payloadlen=4, icv=bytes(12)) / tcp()))),
    "jumbo": (101, V6[:4] + b"\0\0\0" + V6[7:40] + b"\x06\0\xc2\x04" + pack(">I", 99) + V6[40:]),
    "4in4": (1, outer(ip4())),
    "6in4": (1, outer(ip6())),
    "4in6": (1, bytes(_ETHER / IPv6(src="::a", dst="::b") / ip4())),
    "6in6": (1, bytes(_ETHER / IPv6(src="::a", dst="::b") / ip6())),
    "six-deep": (1, bytes(_ETHER / IP() / IPv6() / IP() / IPv6() / IP() / ip6())),
}

_GRE_ROUTED: Final = b"\x40\0\x08\0\0\0\0\0\x08\0\0\x04abcd\0\0\0\0" + V4

TUNNELS: Final[dict[str, Sample]] = {
    "gre": (1, outer(GRE() / ip4())),
    "gre-all-fields": (
        1,
        outer(GRE(chksum_present=1, key_present=1, seqnum_present=1) / ip6()),
    ),
    "gre-routing": (1, outer(Raw(_GRE_ROUTED), proto=47)),
    "gre-ethernet": (1, outer(GRE(proto=0x6558) / _ETHER / Dot1Q(vlan=2) / ip4())),
    "gre-ppp": (
        1,
        outer(Raw(b"\x30\x81\x88\x0b\0\x40\0\1\0\0\0\2\0\0\0\1\xff\x03\0\x21" + V4), proto=47),
    ),
    "gre-mpls": (1, outer(GRE(proto=0x8847) / MPLS(label=20, s=1) / ip4())),
    "gre-aruba": (1, outer(GRE(proto=0x8200) / _dot11())),
    "gre-wccp-1": (1, outer(GRE(proto=0x883E) / ip4())),
    "gre-wccp-2": (1, outer(GRE(proto=0x883E) / Raw(b"\0\1\2\3" + V4))),
    "gre-in-gre": (1, outer(GRE() / IP(src="10.0.0.1", dst="10.0.0.2") / GRE() / ip4())),
    "erspan-1": (1, outer(GRE(proto=0x88BE) / _ETHER / ip4())),
    "erspan-2": (1, outer(GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / _ETHER / ip4())),
    "erspan-3": (1, outer(GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(o=0) / _ETHER / ip4())),
    "erspan-3-optional": (
        1,
        outer(GRE(proto=0x22EB, seqnum_present=1) / Raw(bytes(11) + b"\1" + bytes(8) + ETHERNET)),
    ),
    "nsh-ip": (1, bytes(_ETHER / NSH(mdtype=1, nextproto=1, context_header=b"") / ip4())),
    "nsh-ethernet": (1, bytes(_ether(0x894F)) + b"\x0f\xc2\x02\x03\0\0\1\xff" + ETHERNET),
    "macsec-signed": (1, bytes(_ether(0x88E5)) + b"\x20\0" + bytes(12) + b"\x08\0" + V4),
    "etherip": (1, outer(EtherIP() / _ETHER / ip4())),
    "l2tp-3": (1, outer(Raw(b"\0\0\0\7" + ETHERNET), proto=115)),
    "l2tp-3-ip": (1, outer(Raw(b"\0\0\0\7" + V4), proto=115)),
}

_TEREDO_IP: Final = bytes(IPv6(src="2001:0:1::1", dst="2001:db8::7") / tcp())
_AYIYA: Final = b"\x44\x52\x11\x29\0\0\0\0" + bytes(16) + bytes(20)
_GTP: Final = b"\x30\xff" + pack(">HI", len(V4), 9)
_VXLAN_INNER: Final = _ETHER / ip4()

DATAGRAMS: Final[dict[str, Sample]] = {
    "vxlan": (1, udp(4789, VXLAN(vni=7) / _VXLAN_INNER)),
    "vxlan-8472": (1, udp(8472, b"\x08\0\0\0\0\0\7\0" + ETHERNET)),
    "vxlan-gpe": (1, udp(4790, b"\x0c\0\0\1\0\0\7\0" + V4)),
    "vxlan-gpe-nsh": (
        1,
        udp(4790, b"\x0c\0\0\4\0\0\7\0\x0f\xc2\x02\x01\0\0\1\xff" + V4),
    ),
    "vxlan-mpls": (1, udp(4789, b"\x0c\0\0\5\0\0\7\0" + bytes(MPLS(label=20, s=1)) + V4)),
    "geneve": (1, udp(6081, GENEVE(proto=0x6558) / _ETHER / ip4())),
    "geneve-options": (1, udp(6081, b"\x02\0\x86\xdd\0\0\7\0optional" + V6)),
    "gtp-u": (1, udp(2152, GTP_U_Header(teid=9) / ip4())),
    "gtp-u-5g": (1, udp(2152, GTP_U_Header(teid=9) / GTPPDUSessionContainer(QFI=1) / ip6())),
    "gtp-u-sequence": (1, udp(2152, b"\x32\xff\0\0\0\0\0\x09\0\1\0\0" + V4)),
    "gtp-u-ppp": (1, udp(2152, b"\x30\xff\0\0\0\0\0\x09\xff\x03\0\x21" + V4)),
    "gtp-u-ethernet": (1, udp(2152, b"\x30\xff\0\0\0\0\0\x09" + ETHERNET)),
    "gtp-u-ipv6-fragments-none": (1, udp(2152, _GTP + V4)),
    "gtp-0": (1, udp(3386, b"\x1e\xff" + bytes(18) + V4)),
    "teredo": (1, udp(3544, V6)),
    "teredo-origin": (1, udp(3544, bytes(8) + V6)),
    "teredo-authenticated": (1, udp(3544, b"\0\1\2\3abcde" + bytes(9) + bytes(8) + V6)),
    "ayiya": (1, udp(5072, _AYIYA + V6)),
    "l2tp": (1, udp(1701, L2TP(hdr=0x4002, tunnel_id=1, session_id=2) / HDLC() / PPP() / ip4())),
    "l2tp-all-fields": (
        1,
        udp(1701, b"\x4a\x02\0\0\0\1\0\2\0\0\0\0\0\2ab\0\x21" + V4),
    ),
    "l2tp-3": (1, udp(1701, b"\0\x03\0\0\0\0\0\7" + ETHERNET)),
    "lisp": (1, udp(4341, bytes(8) + V4)),
    "tzsp": (1, udp(37008, b"\1\0\0\1\0\x0a\1\7\1" + ETHERNET)),
    "capwap": (1, udp(5247, b"\0\x10\3\0\0\0\0\0" + bytes(_dot11()))),
    "capwap-swapped": (
        1,
        udp(5247, b"\0\x10\3\0\0\0\0\0\0\x08" + bytes(_dot11())[2:]),
    ),
    "capwap-802.3": (1, udp(5247, b"\0\x10\2\0\0\0\0\0" + ETHERNET)),
    "gre-in-udp": (1, udp(4754, GRE() / ip4())),
    "mpls-in-udp": (1, udp(6635, MPLS(label=16, s=1) / ip4())),
    "udp-over-ipv6": (1, bytes(_ETHER / IPv6() / UDP(dport=4789) / VXLAN() / _VXLAN_INNER)),
}

SAMPLES: Final = {
    f"{group}:{name}": sample
    for group, samples in {
        "link": LINK,
        "serial": SERIAL,
        "wireless": WIRELESS,
        "network": NETWORK,
        "tunnels": TUNNELS,
        "datagrams": DATAGRAMS,
    }.items()
    for name, sample in samples.items()
}
