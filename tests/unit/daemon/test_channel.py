"""Frames between the supervisor and its children."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.daemon.channel import ChildChannel, Unframer, frame
from shadow_agent.telemetry.snapshot import MAX_BYTES

MESSAGES = [b"one", b"", b"three" * 1000]


@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_however_it_is_cut(step: int) -> None:
    """Whole, byte by byte, and with the beginning of another message behind."""
    stream = b"".join(map(frame, MESSAGES)) + frame(b"later")[:-1]
    unframer = Unframer()
    found = [m for at in range(0, len(stream), step) for m in unframer.feed(stream[at : at + step])]
    assert found == MESSAGES
    assert list(unframer.feed(b"r")) == [b"later"]


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_any_cut(messages: list[bytes], data: st.DataObject) -> None:
    """What went in comes out, in order."""
    stream = b"".join(map(frame, messages))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))) | {0, len(stream)})
    unframer = Unframer()
    found = [m for a, b in pairwise(cuts) for m in unframer.feed(stream[a:b])]
    assert found == messages


@given(st.lists(st.binary(max_size=40)))
def test_nonsense_is_refused_by_size(pieces: list[bytes]) -> None:
    """Random bytes are messages, incomplete, or a ValueError; nothing else."""
    unframer = Unframer()
    try:
        for piece in pieces:
            for message in unframer.feed(piece):
                assert len(message) <= MAX_BYTES
    except ValueError as error:
        assert "at most" in str(error)  # noqa: PT017 - it may also not be raised


def test_a_message_that_claims_too_much() -> None:
    """Before a byte of it is kept."""
    with pytest.raises(ValueError, match=str(MAX_BYTES + 1)):
        list(Unframer().feed((MAX_BYTES + 1).to_bytes(4, "big")))


def test_a_child_speaks() -> None:
    """Nothing yet, then whole messages, then its end."""
    ours, theirs = socket.socketpair()
    channel = ChildChannel(ours)
    assert channel.fileno() == ours.fileno()
    assert channel.receive() == []
    theirs.sendall(frame(b"a") + frame(b"b") + frame(b"c")[:-1])
    assert channel.receive() == [b"a", b"b"]
    theirs.close()
    assert channel.receive() is None
    channel.close()


def test_a_child_that_left_unread_bytes_is_at_its_end() -> None:
    """ECONNRESET is no more than that."""
    ours, theirs = socket.socketpair()
    channel = ChildChannel(ours)
    assert channel.send(b"unread")
    theirs.close()
    assert channel.receive() is None
    channel.close()


def test_a_child_is_spoken_to() -> None:
    """It gets the message; one that does not read is not waited for."""
    ours, theirs = socket.socketpair()
    channel = ChildChannel(ours)
    assert channel.send(b"drain")
    assert list(Unframer().feed(theirs.recv(100))) == [b"drain"]
    while channel.send(bytes(1000)):
        pass
    theirs.close()
    assert not channel.send(b"drain")
    channel.close()
