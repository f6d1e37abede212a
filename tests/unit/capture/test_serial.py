"""Point-to-point links and MPLS."""

import pytest

from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.samples import SERIAL, Sample, carries_the_request, decoder, frame


@pytest.mark.parametrize("sample", SERIAL.values(), ids=SERIAL)
def test_the_request_is_found(sample: Sample) -> None:
    """What is wrapped so gives the same segment as when it is not."""
    assert carries_the_request(sample)


def test_a_piece_of_a_multilink_packet_is_a_fragment() -> None:
    """Only whole packets are read."""
    reader = decoder()
    assert reader.decode(frame((9, b"\x00\x3d\x80\0\0\1\x00\x21"))) == []
    assert reader.counts.unsupported == {Unsupported.FRAGMENT: 1}


def test_labels_without_an_end_are_malformed() -> None:
    """The walk over MPLS labels is bounded."""
    reader = decoder()
    assert reader.decode(frame((219, bytes(4) * 1000))) == []
    assert reader.counts.unsupported == {Unsupported.MALFORMED: 1}
