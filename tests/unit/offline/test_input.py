"""What a capture is read from."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from shadow_agent.errors import UsageError
from shadow_agent.offline.input import Input, open_input


def test_a_file(tmp_path: Path) -> None:
    """To its end."""
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    with open_input(str(path), regular=True) as source:
        assert source.readable()
        assert source.fileno() > 2
        assert source.read(3) == b"123"
        assert source.read() == b"45"


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its usual name, which stays open for others."""
    path = tmp_path / "f"
    path.write_bytes(b"1")
    fd, kept = os.open(path, os.O_RDONLY), os.dup(0)
    os.dup2(fd, 0)
    try:
        with open_input("-") as source:
            assert source.read() == b"1"
        os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(fd)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent", "absent: No such file or directory; name a pcap or pcapng file"),
        (".", "is a directory; name a pcap"),
        ("a\0b", "embedded null byte; name a pcap"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, name: str, words: str) -> None:
    """One line with the fix."""
    with pytest.raises(UsageError, match=words):
        open_input(f"{tmp_path}/{name}")


def test_a_pipe_where_a_file_is_needed(tmp_path: Path) -> None:
    """Waiting for it would distort latencies."""
    with pytest.raises(UsageError, match=r"is no regular file.*; save the capture to a file first"):
        open_input("/dev/zero", regular=True)


def test_stop_is_the_end() -> None:
    """Nothing more is read, although there is more."""
    ours, theirs = os.pipe()
    os.write(theirs, b"123")
    source = Input(ours)
    source.stop()
    assert source.read(9) == b""
    source.close()
    source.close()
    os.close(theirs)


def test_stop_ends_a_read_that_waits() -> None:
    """A signal's handler calls it while nobody writes."""
    ours, theirs = os.pipe()
    before = signal.signal(signal.SIGALRM, lambda *_: source.stop())
    source = Input(ours)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert source.read(9) == b""
        assert source.stopped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        source.close()
        os.close(theirs)


def test_a_fifo_without_a_writer(tmp_path: Path) -> None:
    """Is waited for until somebody says stop; where a file is needed it is refused at once."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is no regular file"):
        open_input(path, regular=True)
    with open_input(path) as source:
        before = signal.signal(signal.SIGALRM, lambda *_: source.stop())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            assert source.read(9) == b""
            assert source.stopped
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def test_a_fifo_whose_writer_comes_late(tmp_path: Path) -> None:
    """No writer yet is not the end."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)

    def write() -> None:
        Path(path).write_bytes(b"12345")

    with open_input(path) as source:
        writer = threading.Thread(target=write)
        writer.start()
        assert source.readall() == b"12345"
        writer.join()


def test_a_pipe_that_does_not_block() -> None:
    """As ssh and some shells leave them: nothing there yet is no error."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with Input(ours) as source:
        os.write(theirs, b"123")
        assert source.read(9) == b"123"
        writer = threading.Timer(0.05, os.write, (theirs, b"45"))
        writer.start()
        assert source.read(9) == b"45"
        writer.join()
    os.close(theirs)
