"""A flow before anything is known of it."""

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import Flow, FlowLimits


def test_a_new_flow_expects_nothing() -> None:
    """Neither direction is aligned and nothing is held."""
    flow: Flow[object] = Flow(b"k" * 36, 7, SegmentCounts())
    assert flow.request.next_seq == flow.response.next_seq == -1
    assert not flow.request.waiting
    assert flow.conversation is None


def test_limits_are_positive() -> None:
    """Every default is a real bound."""
    assert all(limit > 0 for limit in FlowLimits())
