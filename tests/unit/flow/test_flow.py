"""A flow before anything is known of it."""

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import Flow, FlowLimits
from tests.property.wire import Wire


def test_a_new_flow_expects_nothing() -> None:
    """Neither direction is aligned and nothing is held."""
    flow: Flow[object] = Flow(b"k" * 36, 7, SegmentCounts())
    assert flow.request.next_seq == flow.response.next_seq == -1
    assert not flow.request.waiting
    assert flow.conversation is None


def test_limits_are_positive() -> None:
    """Every default is a real bound."""
    assert all(limit > 0 for limit in FlowLimits())


def test_only_its_own_handshake_continues_a_flow() -> None:
    """The same SYN again, or the answer to it; another SYN is another connection."""
    wire = Wire()
    flow: Flow[object] = Flow(wire.key, 7, SegmentCounts())
    syn, syn_ack = wire.open()
    assert flow.continued_by(syn)
    flow.request.align(wire.next[0])
    assert flow.continued_by(syn)
    assert flow.continued_by(syn_ack)
    assert not flow.continued_by(syn._replace(seq=5))
    assert not flow.continued_by(syn_ack._replace(ack=5))
