"""dpkt as a second reader: written by others, so that a misreading is not made twice."""

from typing import Any

import dpkt.ethernet
import dpkt.ieee80211
import dpkt.ip
import dpkt.ip6
import dpkt.loopback
import dpkt.ppp
import dpkt.radiotap
import dpkt.sll
import dpkt.sll2
import dpkt.tcp
import pytest

from tests.unit.capture.samples import SAMPLES, Sample, decoder, frame

# Where dpkt starts to read a frame, by LINKTYPE; raw IP by its version.
FIRST: dict[int, Any] = {
    0: dpkt.loopback.Loopback,
    1: dpkt.ethernet.Ethernet,
    9: dpkt.ppp.PPP,
    105: dpkt.ieee80211.IEEE80211,
    113: dpkt.sll.SLL,
    127: dpkt.radiotap.Radiotap,
    228: dpkt.ip.IP,
    229: dpkt.ip6.IP6,
    276: dpkt.sll2.SLL2,
}


def tcp_of(sample: Sample) -> Any:
    """The innermost TCP header that dpkt finds, or None."""
    link, data = sample
    first = FIRST.get(link)
    if link == 101:
        first = dpkt.ip.IP if data[0] >> 4 == 4 else dpkt.ip6.IP6
    try:
        layer = first and first(data)
        while isinstance(layer, dpkt.Packet) and not isinstance(layer, dpkt.tcp.TCP):
            layer = layer.data
    except (dpkt.Error, IndexError):
        return None
    return layer if isinstance(layer, dpkt.tcp.TCP) else None


KNOWN = {name: sample for name, sample in SAMPLES.items() if tcp_of(sample) is not None}


def test_dpkt_knows_enough_to_be_worth_asking() -> None:
    """Ethernet, VLAN, MPLS, PPPoE, cooked, IPv6 with extensions, GRE, IP in IP."""
    assert len(KNOWN) >= 40


@pytest.mark.parametrize("sample", KNOWN.values(), ids=KNOWN)
def test_both_read_the_same(sample: Sample) -> None:
    """Ports, numbers, flags and payload."""
    tcp = tcp_of(sample)
    (segment,) = decoder(80).decode(frame(sample))
    assert segment.key[32:] == tcp.sport.to_bytes(2) + tcp.dport.to_bytes(2)
    assert (segment.seq, segment.ack, segment.flags) == (tcp.seq, tcp.ack, tcp.flags)
    assert tcp.data.startswith(segment.payload)
