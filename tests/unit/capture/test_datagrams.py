"""Tunnels in UDP."""

import pytest

from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.samples import (
    DATAGRAMS,
    V6,
    Sample,
    carries_the_request,
    decoder,
    frame,
    udp,
)


@pytest.mark.parametrize("sample", DATAGRAMS.values(), ids=DATAGRAMS)
def test_the_request_is_found(sample: Sample) -> None:
    """What is wrapped so gives the same segment as when it is not."""
    assert carries_the_request(sample)


@pytest.mark.parametrize(
    ("port", "payload"),
    [
        pytest.param(53, b"not a tunnel", id="dns"),
        pytest.param(53, V6, id="ipv6-of-another-prefix"),
        pytest.param(2152, b"\x32\1\0\4\0\0\0\0\0\0\0\0", id="gtp-echo"),
        pytest.param(3386, b"\x1e\1" + bytes(18), id="gtp-0-echo"),
        pytest.param(1701, b"\xc8\2\0\x0c" + bytes(8), id="l2tp-control"),
        pytest.param(4500, bytes(4) + b"key exchange", id="ike"),
        pytest.param(4500, b"\xff", id="nat-keep-alive"),
        pytest.param(5072, b"\x44\x52\x14\x3b" + bytes(44), id="ayiya-query"),
    ],
)
def test_other_datagrams_are_not_the_service(port: int, payload: bytes) -> None:
    """Signalling of tunnels, and what is none."""
    reader = decoder()
    assert reader.decode(frame((1, udp(port, payload)))) == []
    assert reader.counts.not_service == 1


@pytest.mark.parametrize(("port", "payload"), [(4500, b"\1" * 64), (5247, b"\1" + bytes(64))])
def test_encrypted_tunnels_have_a_name(port: int, payload: bytes) -> None:
    """IPsec behind NAT, CAPWAP in DTLS."""
    reader = decoder()
    assert reader.decode(frame((1, udp(port, payload)))) == []
    assert reader.counts.unsupported == {Unsupported.ENCRYPTED: 1}


def test_teredo_between_clients_uses_any_port() -> None:
    """Its prefix and its length give it away."""
    inner = V6[:8] + b"\x20\x01\0\0" + V6[12:]
    reader = decoder()
    (segment,) = reader.decode(frame((1, udp(50_000, inner))))
    assert segment.payload.startswith(b"GET")
