"""Frame."""

from shadow_agent.capture.frame import MAX_FRAME, Frame


def test_a_frame_may_be_cut() -> None:
    """Its length is that on the wire."""
    frame = Frame(ts=1, link=1, data=b"abc", length=1500)
    assert len(frame.data) < frame.length < MAX_FRAME
