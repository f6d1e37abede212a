"""Tunnels above IP and Ethernet."""

import pytest

from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.samples import TUNNELS, Sample, carries_the_request, decoder, frame


@pytest.mark.parametrize("sample", TUNNELS.values(), ids=TUNNELS)
def test_the_request_is_found(sample: Sample) -> None:
    """What is wrapped so gives the same segment as when it is not."""
    assert carries_the_request(sample)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x0c\0" + bytes(30), Unsupported.ENCRYPTED, id="macsec"),
        pytest.param(b"\x20\0" + bytes(2), Unsupported.TRUNCATED, id="macsec-cut"),
    ],
)
def test_macsec_is_encrypted(data: bytes, reason: Unsupported) -> None:
    """Unless it only signs."""
    reader = decoder()
    assert reader.decode(frame((1, bytes(12) + b"\x88\xe5" + data))) == []
    assert reader.counts.unsupported == {reason: 1}


def test_a_tunnel_without_tcp_is_not_the_service() -> None:
    """Keep-alives of GRE, for one."""
    reader = decoder()
    ip = b"\x45\0\0\x18\0\0\0\0\1\x2f\0\0" + bytes(8)
    assert reader.decode(frame((101, ip + b"\0\0\0\0"))) == []
    assert reader.counts.not_service == 1
