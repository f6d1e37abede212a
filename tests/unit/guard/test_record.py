"""The record of calls: bounded, whole lines, nothing lost unseen."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_agent.guard.record import NAMES, Record, lines, open_files


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Open, in a folder."""
    found = open_files(tmp_path)
    yield found
    for fd in found:
        os.close(fd)


def _numbers(files: tuple[int, int]) -> list[int]:
    return [json.loads(line)["n"] for line in lines(files)]


def test_lines_have_numbers(files: tuple[int, int], tmp_path: Path) -> None:
    """And only root reads them."""
    record = Record(files, 1 << 20)
    for _ in range(3):
        record.write({"event": "call"})
    assert _numbers(files) == [1, 2, 3]
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in NAMES] == [0o600, 0o600]


def test_two_files_take_turns(files: tuple[int, int]) -> None:
    """Never above the limit; what is gone is counted, and the rest is in order."""
    record = Record(files, 4000)
    for _ in range(500):
        record.write({"event": "call", "path": "/" + "x" * 50})
        assert sum(os.fstat(fd).st_size for fd in files) <= 4000
    kept = _numbers(files)
    assert kept == list(range(kept[0], 501))
    assert record.overwritten == kept[0] - 1
    assert record.lost == 0


def test_another_writer_goes_on(files: tuple[int, int]) -> None:
    """One that died leaves its numbers, and lines that are counted when they are overwritten."""
    overwritten = 0
    for _ in range(3):
        record = Record(files, 400)
        for _ in range(7):
            record.write({"event": "call"})
        overwritten += record.overwritten
    kept = _numbers(files)
    assert kept == list(range(overwritten + 1, 22))
    assert overwritten


def test_a_full_disk_is_counted_and_leaves_whole_lines(files: tuple[int, int]) -> None:
    """Here the limit on a file's size stands for it: the last line fits in part."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    record = Record(files, 1 << 20)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1010, before[1]))
        for _ in range(100):
            record.write({"event": "call"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert record.lost > 0
    assert record.written + record.lost == 100
    assert len(_numbers(files)) == record.written
    record.write({"event": "call"})
    assert _numbers(files)[-1] == 101


def test_a_line_that_is_too_long_is_counted(files: tuple[int, int]) -> None:
    """It would be the record's end."""
    record = Record(files, 1 << 20)
    record.write({"path": "x" * 20_000})
    assert (record.written, record.lost) == (0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_files_of_others_are_not_taken(name: str, tmp_path: Path) -> None:
    """Also no link that leads elsewhere."""
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        open_files(tmp_path)
