"""The lines hold the names of the contract and add up name by name."""

from __future__ import annotations

from typing import Any

import pytest

from shadow_agent.telemetry.lines import LINES, Line, Packets, Replay, Segments

# The contract's identities, spelt out once more so that a slip in the code shows.
CONTRACT = {
    "packets": "seen = own not_service no_payload paused sampled_out over_budget unsupported"
    " ring_full copied",
    "records": "copied = read in_ring lost",
    "segments": "read = used duplicate out_of_window unaligned evicted not_http held",
    "requests": "started = complete gap malformed oversize evicted aborted open",
    "exchanges": "heads = answered unanswered open",
    "replay": "heads = replayed refused shed failed queued",
    "pairs": "replayed = compared uncomparable open",
}


def test_the_identities_are_the_contract() -> None:
    """Left sides and parts are exactly those of the design."""
    found = {name: f"{kind.LEFT} = {' '.join(kind.parts())}" for name, kind in LINES.items()}
    assert found == CONTRACT


@pytest.mark.parametrize("kind", LINES.values())
def test_every_name_explains_itself(kind: type[Line]) -> None:
    """Names without reasons and every reason say when they are counted."""
    for name in (kind.LEFT, *kind.ASIDE, *kind.parts()):
        if name in kind.REASONS:
            assert all(kind.meaning(name, reason) for reason in kind.REASONS[name])
        else:
            assert kind.meaning(name)


def test_both_sides_of_a_line() -> None:
    """The right side adds every part over all its reasons."""
    line = Replay(heads=9, replayed=4, refused={"method": 2}, shed={"age": 1, "queue_full": 1})
    assert (line.left, line.right) == (9, 8)
    assert line.total("shed") == 2


def test_json_form() -> None:
    """A name with reasons is an object without zeros, every other a number."""
    line = Packets(seen=3, unsupported={"fragment": 2, "tunnel": 0}, copied=1)
    as_dict = line.as_dict()
    assert as_dict["unsupported"] == {"fragment": 2}
    assert Packets().as_dict()["unsupported"] == {}
    assert all(type(v) is int for k, v in as_dict.items() if k != "unsupported")
    assert Packets.from_dict(as_dict, "packets") == Packets(
        seen=3, unsupported={"fragment": 2}, copied=1
    )


def test_adding_lines() -> None:
    """Numbers add, reasons add one by one, and neither addend changes."""
    one = Segments(read=3, used=1, not_http={"tls": 2})
    other = Segments(read=4, not_http={"tls": 1, "h2": 3})
    assert one + other == Segments(read=7, used=1, not_http={"tls": 3, "h2": 3})
    assert one.not_http == {"tls": 2}


@pytest.mark.parametrize(
    "change",
    [{"seen": -1}, {"seen": True}, {"seen": "1"}, {"unsupported": {"x": 1}}, {"unsupported": 1}],
)
def test_a_forged_line_is_refused(change: dict[str, Any]) -> None:
    """Wrong types, negative counts and unknown reasons name the line and the field."""
    with pytest.raises(ValueError, match=r"^packets\.[^\n]*$"):
        Packets.from_dict(Packets().as_dict() | change, "packets")
