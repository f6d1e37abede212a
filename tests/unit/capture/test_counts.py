"""The ledger's packets line."""

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.telemetry.lines import Packets
from shadow_agent.telemetry.reasons import Unsupported


def test_the_line_is_the_ledgers() -> None:
    """The ledger takes it as it is, and it balances."""
    counts = PacketCounts()
    counts.seen, counts.copied, counts.no_payload, counts.not_service = 10, 1, 2, 3
    counts.count_unsupported(Unsupported.LINK, 4)
    line = Packets.from_dict(counts.as_dict(), "packets")
    assert line.left == line.right == 10


def test_a_reason_taken_back_is_left_out() -> None:
    """Fragments are counted until their datagram is whole."""
    counts = PacketCounts()
    counts.count_unsupported(Unsupported.FRAGMENT)
    counts.count_unsupported(Unsupported.FRAGMENT, -1)
    assert counts.as_dict()["unsupported"] == {}
