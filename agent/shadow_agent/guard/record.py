"""The record of calls: JSON lines in two files that take turns, so that it never grows.

Both files are opened by root (0600) before the child that writes them gives its privileges up; it
can neither name nor open another. Each line has a number, so that what was overwritten shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import orjson

NAMES: Final = ("calls.jsonl", "calls.1.jsonl")
MAX_LINE: Final = 8 << 10
_CHUNK: Final = 64 << 10


def open_files(folder: Path) -> tuple[int, int]:
    """New files in the folder, readable and writable by root only. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    first = os.open(folder / NAMES[0], flags, 0o600)
    try:
        return first, os.open(folder / NAMES[1], flags, 0o600)
    except OSError:
        os.close(first)
        raise


class Record:
    """Writes lines; what does not fit on the disk is counted, and nothing else happens.

    Attributes:
        written: lines since the start.
        lost: lines that could not be written: the disk is full, or a line is too long.
        overwritten: lines that a file's second turn removed.
        last: number of the last line, lost ones too.
    """

    def __init__(self, files: tuple[int, int], max_bytes: int) -> None:
        """``max_bytes`` of both files together. Goes on where an earlier writer died."""
        self._files = files
        self._half = max_bytes // 2
        counted = [_count(fd) for fd in files]
        lasts = [last for _, last in counted]
        self._turn = lasts.index(max(lasts))
        self._lines = [lines for lines, _ in counted]
        self._sizes = [os.fstat(fd).st_size for fd in files]
        self.last = max(lasts)
        self.written = self.lost = self.overwritten = 0

    def write(self, event: Mapping[str, object]) -> None:
        """Append one event with the next number."""
        self.last += 1
        line = orjson.dumps({"n": self.last, **event}) + b"\n"
        if len(line) > min(MAX_LINE, self._half):
            self.lost += 1
            return
        if self._sizes[self._turn] + len(line) > self._half:
            self._take_turns()
        if self._append(line):
            self.written += 1
            self._lines[self._turn] += 1
        else:
            self.lost += 1

    def _take_turns(self) -> None:
        other = 1 - self._turn
        try:
            os.ftruncate(self._files[other], 0)
        except OSError:
            return  # the line will not fit, and is counted
        self.overwritten += self._lines[other]
        self._turn, self._sizes[other], self._lines[other] = other, 0, 0

    def _append(self, line: bytes) -> bool:
        """Whole or not at all."""
        fd, size = self._files[self._turn], self._sizes[self._turn]
        if size + len(line) > self._half:
            return False
        try:
            if os.pwrite(fd, line, size) == len(line):
                self._sizes[self._turn] = size + len(line)
                return True
            os.ftruncate(fd, size)
        except OSError:
            pass
        return False


def lines(files: tuple[int, int]) -> Iterator[bytes]:
    """Every whole line, older file first; the files may be written meanwhile."""
    for fd in sorted(files, key=_first_number):
        yield from _lines_of(fd)


def _lines_of(fd: int) -> Iterator[bytes]:
    at, rest = 0, b""
    while chunk := os.pread(fd, _CHUNK, at):
        at += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > MAX_LINE:
            return


def _number(line: bytes) -> int:
    try:
        found = orjson.loads(line)["n"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 0
    return found if isinstance(found, int) else 0


def _first_number(fd: int) -> int:
    return next((_number(line) for line in _lines_of(fd)), 0)


def _count(fd: int) -> tuple[int, int]:
    """Lines of a file, and the last one's number."""
    count, last = 0, b""
    for line in _lines_of(fd):
        count, last = count + 1, line
    return count, _number(last) if last else 0
