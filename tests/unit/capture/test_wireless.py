"""802.11 and what tools put before it."""

import pytest

from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.samples import WIRELESS, Sample, carries_the_request, decoder, frame


@pytest.mark.parametrize("sample", WIRELESS.values(), ids=WIRELESS)
def test_the_request_is_found(sample: Sample) -> None:
    """What is wrapped so gives the same segment as when it is not."""
    assert carries_the_request(sample)


def test_protected_frames_are_encrypted() -> None:
    """WPA hides what is in them."""
    reader = decoder()
    assert reader.decode(frame((105, b"\x08\x41" + bytes(60)))) == []
    assert reader.counts.unsupported == {Unsupported.ENCRYPTED: 1}


@pytest.mark.parametrize("control", [b"\x80\0", b"\xd4\0", b"\x48\0"], ids=str)
def test_beacons_and_the_like_are_not_the_service(control: bytes) -> None:
    """Management, control and empty data frames carry nothing."""
    reader = decoder()
    assert reader.decode(frame((105, control + bytes(60)))) == []
    assert reader.counts.not_service == 1


def test_each_packet_of_an_aggregate_is_seen() -> None:
    """An A-MSDU counts as many packets as it carries."""
    reader = decoder()
    (segment,) = reader.decode(frame(WIRELESS["802.11-aggregate"]))
    assert segment.length
    assert (reader.counts.seen, reader.counts.copied) == (2, 1)


def test_an_aggregate_in_an_aggregate_is_refused() -> None:
    """Or a small frame could ask for a quarter of a million walks."""
    inner = b"\x88\0" + bytes(22) + b"\x80\0" + bytes(40)
    tunnel = b"\x45\0\0\0\0\0\0\0\1\x2f\0\0" + bytes(8) + b"\0\0\x82\0" + inner
    part = b"\xaa\xaa\x03\0\0\0\x08\0" + tunnel
    sample = 105, b"\x88\0" + bytes(22) + b"\x80\0" + bytes(12) + len(part).to_bytes(2) + part
    reader = decoder()
    assert reader.decode(frame(sample)) == []
    assert reader.counts.unsupported == {Unsupported.TUNNEL: 1}
