"""Link layers."""

import pytest

from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.samples import LINK, Sample, carries_the_request, decoder, frame


@pytest.mark.parametrize("sample", LINK.values(), ids=LINK)
def test_the_request_is_found(sample: Sample) -> None:
    """What is wrapped so gives the same segment as when it is not."""
    assert carries_the_request(sample)


@pytest.mark.parametrize(
    ("link", "data", "reason"),
    [
        pytest.param(9999, b"anything", Unsupported.LINK, id="unknown-link-type"),
        pytest.param(1, b"short", Unsupported.TRUNCATED, id="cut-header"),
        pytest.param(7, b"\1\2\xd4\3\0\0", Unsupported.FRAGMENT, id="arcnet-fragment"),
        pytest.param(239, b"\2" + bytes(15), Unsupported.MALFORMED, id="nflog-attribute"),
    ],
)
def test_what_cannot_be_read_has_a_name(link: int, data: bytes, reason: Unsupported) -> None:
    """Each is counted as unsupported."""
    reader = decoder()
    assert reader.decode(frame((link, data))) == []
    assert reader.counts.unsupported == {reason: 1}


@pytest.mark.parametrize("link", [0, 1, 6, 10, 104, 109, 113, 117, 276])
def test_other_protocols_are_not_the_service(link: int) -> None:
    """Zeros are no IP packet in any of these."""
    reader = decoder()
    assert reader.decode(frame((link, b"\0" * 16 + b"\x86\xbb" + b"\0" * 62))) == []
    assert reader.counts.not_service + sum(reader.counts.unsupported.values()) == 1
