"""The chain of the audit log: what breaks it, and what a crash leaves."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.records.chain import MAX_LINE, MENDED, Head, check, mend, read, seal


def chain(count: int) -> list[bytes]:
    """So many entries."""
    head, lines = Head(), []
    for number in range(count):
        line, head = seal({"at": f"t{number}", "what": "attach", "about": {"k": number}}, head)
        lines.append(line)
    return lines


def head_of(lines: list[bytes]) -> Head:
    """Where a chain ends."""
    return check(lines).head


def test_whole() -> None:
    """A chain that nobody touched, also against its head and an older one."""
    lines = chain(5)
    verdict = check(lines, [head_of(lines), head_of(lines[:2])])
    assert (verdict.broken, verdict.torn, verdict.head.number, verdict.at) == (None, 0, 5, "t4")
    assert check([]).broken is None


@given(st.integers(0, 4), st.data())
def test_any_altered_byte_shows(which: int, data: st.DataObject) -> None:
    """Wherever it is, also in the last entry."""
    lines = chain(5)
    at = data.draw(st.integers(0, len(lines[which]) - 1))
    altered = bytearray(lines[which])
    altered[at] ^= data.draw(st.integers(1, 255))
    if bytes(altered).count(b"\n") > 1:
        return
    whole = head_of(lines)
    lines[which] = bytes(altered)
    verdict = check(b"".join(lines).splitlines(keepends=True), [whole])
    assert verdict.broken is not None
    assert verdict.broken.line >= which


@pytest.mark.parametrize("which", range(5))
def test_a_deleted_entry_shows(which: int) -> None:
    """The last one too, against the head."""
    lines = chain(5)
    whole = head_of(lines)
    del lines[which]
    verdict = check(lines, [whole])
    assert verdict.broken is not None
    assert verdict.broken.line == which + 1


def test_moved_and_doubled_entries_show() -> None:
    """In another order, or twice."""
    first, second, third = chain(3)
    reason = "is entry 3, after entry 1: removed, added or moved"
    assert check([first, third, second]).broken == (2, reason)
    assert check([first, second, second, third]).broken is not None


def test_a_chain_made_anew_shows() -> None:
    """Not by itself, but against what was noted."""
    noted = head_of(chain(2))
    line, head = seal({"what": "forged"}, Head())
    forged = [line, seal({"what": "forged"}, head)[0]]
    assert check(forged).broken is None
    assert check(forged, [noted]).broken == (2, "is another entry than was noted")


def test_a_torn_line() -> None:
    """At the end it is said; behind it an entry mends it; anything else there breaks the chain."""
    lines = chain(3)
    head = head_of(lines)
    torn = b'{"n":4,"wh'
    assert check([*lines, torn], [head]).torn == len(torn)
    line, _ = seal({"what": MENDED, "about": mend(torn)}, head)
    assert check([*lines, torn + b"\n", line]).broken is None
    assert check([*lines, b"altered\n", line]).broken == (4, "is no entry")
    plain, _ = seal({"what": "attach", "about": {}}, head)
    assert check([*lines, torn + b"\n", plain]).broken == (4, "is no entry")
    assert check([*lines, torn + b"\n"]).broken == (4, "is no entry")
    assert check([*lines, b"a\n", b"b\n", line]).broken == (4, "is no entry")


def test_a_long_entry() -> None:
    """What it says is left out, and that it was: a line has a limit."""
    line, head = seal({"what": "attach", "about": {"x": "y" * MAX_LINE}}, Head())
    assert len(line) <= MAX_LINE
    assert json.loads(line)["about"] == {"left_out": "too long"}
    assert check([line], [head]).broken is None


def test_no_entry_is_too_long_to_be_read() -> None:
    """Whatever an entry's length, its own line is one that a check takes."""
    for size in range(MAX_LINE - 300, MAX_LINE):
        assert read(seal({"about": "y" * size}, Head())[0]) is not None


def test_what_is_no_entry() -> None:
    """A line whose newline is missing, though it is whole, and one that is too long."""
    line, _ = seal({"what": "attach"}, Head())
    assert read(line) is not None
    assert read(line[:-1]) is None
    assert read(line[:-1] + b" " * MAX_LINE + b"\n") is None


def test_an_emptied_log() -> None:
    """Shows against the head."""
    assert check([], [head_of(chain(2))]).broken == (1, "entries 1 to 2 are missing")


def test_the_format_lasts() -> None:
    """Logs of yesterday's release are checked with these names and sums."""
    line, _ = seal({"what": "attach"}, Head())
    body = b'{"n":1,"prev":"' + b"0" * 64 + b'","what":"attach"}'
    assert json.loads(line) == {**json.loads(body), "sum": hashlib.sha256(body).hexdigest()}
    assert mend(b"x") == {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}


@given(st.binary(max_size=80))
def test_hostile_lines(data: bytes) -> None:
    """Raise nothing."""
    read(data + b"\n")
    check([data])
