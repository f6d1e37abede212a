"""VLAN tags where the kernel keeps them: the outer one in metadata, the inner in the frame."""

from __future__ import annotations

import os

import pytest

from shadow_agent.kernel.bpf import AttachType
from shadow_agent.kernel.layout import Counter
from tests.kernel import frames
from tests.kernel.conftest import MakeTap
from tests.kernel.devices import (
    MAC,
    attached,
    ip_command,
    load_vlan_push,
    raw_socket,
    received_tag,
    tun,
)
from tests.kernel.frames import GET, frame, ip, tcp
from tests.testbed.ns import Namespace

families = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def wire(namespace: Namespace) -> Namespace:
    """A veth with both ends here: what is sent on v1 is received on v0."""
    ip_command(namespace, "link", "add", "v0", "address", MAC, "type", "veth", "peer", "v1")
    for name in ("v0", "v1"):
        namespace.sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
        ip_command(namespace, "link", "set", name, "up")
    return namespace


@families
@pytest.mark.parametrize(("tags", "tag"), [("", None), ("q", 42), ("aq", 42), ("a", 42)])
def test_received_tags(
    make_tap: MakeTap, wire: Namespace, family: int, tags: str, tag: int | None
) -> None:
    """The outer tag is out of the frame before the tap sees it, as with a card that strips."""
    tap = make_tap("tap_ingress")
    ends = frames.request_ends(family)
    sent = frame(ip(ends) / tcp(ends, GET), mac=MAC, tags=tags)
    with (
        raw_socket(wire, "v1") as sender,
        raw_socket(wire, "v0") as listener,
        attached(wire, "v0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        sender.send(sent)
        seen, metadata = received_tag(listener)
    assert metadata == tag
    assert seen == (sent[:12] + sent[16:] if tags else sent)
    (record,) = tap.records()
    assert (record.payload, record.family) == (GET, family)
    assert tap.counts()[Counter.COPIED] == 1


@families
@pytest.mark.parametrize("tags", [[(0x8100, 7)], [(0x8100, 7), (0x88A8, 8)]], ids=["vlan", "qinq"])
@pytest.mark.parametrize("hook", [AttachType.TCX_INGRESS, AttachType.TCX_EGRESS])
def test_pushed_tags(
    make_tap: MakeTap, wire: Namespace, family: int, tags: list[tuple[int, int]], hook: AttachType
) -> None:
    """Tags that another program ahead of the tap put on, in both directions."""
    entry = "tap_ingress" if hook is AttachType.TCX_INGRESS else "tap_egress"
    tap = make_tap(entry)
    tap.configure(shadow=frames.shadow_of(family), guard=True)
    push = load_vlan_push(*tags)
    request = entry == "tap_ingress"
    ends = frames.request_ends(family)
    ends = ends if request else ends.reversed()
    try:
        with (
            raw_socket(wire, "v1" if request else "v0") as sender,
            attached(wire, "v0", (tap.programs[entry], hook), (push, hook)),
        ):
            sender.send(frame(ip(ends) / tcp(ends, GET), mac=MAC))
    finally:
        os.close(push)
    (record,) = tap.records()
    assert (record.payload, record.direction) == (GET, 0 if request else 1)
    assert tap.counts()[Counter.SEEN] == tap.counts()[Counter.COPIED] == 1


@families
def test_pushed_tags_hide_no_leak(make_tap: MakeTap, wire: Namespace, family: int) -> None:
    """The guard sees the shadow's address behind two tags, and the packet still leaves."""
    tap = make_tap("tap_egress")
    tap.configure(shadow=frames.shadow_of(family), guard=True)
    push = load_vlan_push((0x8100, 7), (0x88A8, 8))
    ends = frames.request_ends(family, shadow=True).reversed()
    hook = AttachType.TCX_EGRESS
    try:
        with (
            raw_socket(wire, "v0") as sender,
            raw_socket(wire, "v1") as listener,
            attached(wire, "v0", (tap.programs["tap_egress"], hook), (push, hook)),
        ):
            sender.send(frame(ip(ends) / tcp(ends, GET), mac=MAC))
            left, _ = received_tag(listener)
    finally:
        os.close(push)
    assert GET in left
    assert tap.counts()[Counter.LEAKED] == 1
    assert tap.control.state().tripped


@pytest.mark.parametrize("above", ["", "bridge", "macvlan"])
@pytest.mark.parametrize("tags", ["", "q", "aq"])
def test_frame_for_another_host(make_tap: MakeTap, wire: Namespace, tags: str, above: str) -> None:
    """A plain device in promiscuous mode, a port of a bridge, the parent of a macvlan."""
    if above == "bridge":
        ip_command(wire, "link", "add", "up0", "type", "bridge")
        ip_command(wire, "link", "set", "v0", "master", "up0")
    elif above == "macvlan":
        macvlan = ("type", "macvlan", "mode", "bridge")
        ip_command(wire, "link", "add", "up0", "link", "v0", "address", frames.OTHER_MAC, *macvlan)
    else:
        ip_command(wire, "link", "set", "v0", "promisc", "on")
    if above:
        wire.sysctl("ipv6/conf/up0/disable_ipv6", 1)
        ip_command(wire, "link", "set", "up0", "up")
    tap = make_tap("tap_ingress")
    ends = frames.request_ends(4)
    with (
        raw_socket(wire, "v1") as sender,
        attached(wire, "v0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        sender.send(frame(ip(ends) / tcp(ends, GET), mac=frames.OTHER_MAC, tags=tags))
    assert tap.records() == []
    assert tap.counts()[Counter.OTHER_HOST] == tap.counts()[Counter.SEEN] == 1


@families
def test_received_tag_on_a_large_frame(
    make_tap: MakeTap, namespace: Namespace, family: int
) -> None:
    """Non-linear and tagged: 4,000 bytes behind a tag that becomes metadata."""
    tap = make_tap("tap_ingress")
    ends = frames.request_ends(family)
    payload = bytes(range(250)) * 16
    sent = frame(ip(ends) / tcp(ends, payload), mac=MAC, tags="q")
    with (
        tun(namespace, "t0") as fd,
        attached(namespace, "t0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        # a virtio header that names the headers' length makes the rest non-linear
        os.write(fd, bytes(2) + (64).to_bytes(2, "little") + bytes(6) + sent)
    (record,) = tap.records()
    assert record.payload == payload
