"""Standard output in blocks."""

from __future__ import annotations

import os
import threading

import pytest

from shadow_agent.errors import UsageError
from shadow_agent.offline import output
from shadow_agent.offline.output import Output, ReaderGone


def test_lines_wait_for_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written at the size of a block, or when asked."""
    monkeypatch.setattr(output, "_BLOCK", 8)
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    out = Output(theirs)
    out.write(b"1234\n")
    with pytest.raises(BlockingIOError):
        os.read(ours, 99)
    out.write(b"678\n")
    assert os.read(ours, 99) == b"1234\n678\n"
    out.write(b"x\n")
    out.flush()
    assert os.read(ours, 99) == b"x\n"
    os.close(ours)
    os.close(theirs)


def test_a_reader_that_has_seen_enough() -> None:
    """No error: that is how ``head`` ends."""
    ours, theirs = os.pipe()
    os.close(ours)
    out = Output(theirs)
    out.write(b"x\n")
    with pytest.raises(ReaderGone):
        out.flush()
    os.close(theirs)


def test_no_room() -> None:
    """One line with the reason."""
    fd = os.open("/dev/full", os.O_WRONLY)
    out = Output(fd)
    out.write(b"x\n")
    with pytest.raises(UsageError, match=r"^standard output: No space left on device; send it"):
        out.flush()
    os.close(fd)


def test_a_pipe_that_does_not_block() -> None:
    """Whoever shares it made it so: nothing is lost."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    found = bytearray()

    def read() -> None:
        while piece := os.read(ours, 1 << 16):
            found.extend(piece)

    reader = threading.Thread(target=read)
    out = Output(theirs)
    data = bytes(range(256)) * 4096
    reader.start()
    out.write(data)
    out.flush()
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert found == data
