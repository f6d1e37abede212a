"""A hash chain of JSON lines: each entry holds the sum of the one before.

What it protects from: an entry altered, removed, added in between or moved shows, because all sums
behind it would have to be made anew; a shortened log shows against the head, which is kept beside
it. It is no signature: who may write the log and the head, root on this host, can make both anew.
Keep the last sum elsewhere (``audit verify`` prints it, and takes it with ``--expect``) to notice
that too.

A crash may leave part of a line. It stays, and the next entry (``mended``) says how long it was and
its sum, so that a torn line is told from one that was altered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson

# Bytes of one line. Over it: what the entry says is left out, and that it was.
MAX_LINE: Final = 16 * 1024
START: Final = "0" * 64
MENDED: Final = "mended"


class Head(NamedTuple):
    """The last entry of a chain: how many there are, and its sum."""

    number: int = 0
    sum: str = START


class Broken(NamedTuple):
    """The first line that breaks a chain."""

    line: int  # from 1
    reason: str


class Verdict(NamedTuple):
    """What a check found."""

    head: Head  # of what is whole
    broken: Broken | None
    torn: int  # bytes of an unfinished last line, which the next entry will mend
    at: str = ""  # the last entry's time


def seal(fields: dict[str, Any], head: Head) -> tuple[bytes, Head]:
    """An entry's line with its newline, and the head behind it."""
    body = {"n": head.number + 1, **fields, "prev": head.sum}
    if len(orjson.dumps(body)) > MAX_LINE - 100:
        body["about"] = {"left_out": "too long"}
    total = _sum(body)
    return orjson.dumps({**body, "sum": total}) + b"\n", Head(head.number + 1, total)


def mend(torn: bytes) -> dict[str, Any]:
    """What the entry behind a torn line says of it."""
    return {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}


def check(lines: Iterable[bytes], anchors: Iterable[Head] = ()) -> Verdict:
    """Follow a chain from its start. ``lines`` keep their newlines; ``anchors`` must lie on it."""
    head, at = Head(), ""
    torn: bytes | None = None  # a line that is no entry, until the next one mends it
    torn_line = 0
    wanted = {anchor.number: anchor.sum for anchor in anchors}
    number = 0
    for number, line in enumerate(lines, start=1):
        entry = read(line)
        if entry is None:
            if torn is not None:
                return Verdict(head, Broken(torn_line, "is no entry"), 0, at)
            torn, torn_line = line, number
            continue
        if torn is not None:
            mended = entry.get("what") == MENDED and entry.get("about") == mend(torn.rstrip(b"\n"))
            if not mended:
                return Verdict(head, Broken(torn_line, "is no entry"), 0, at)
            torn = None
        fault = _fault(entry, head)
        if fault is not None:
            return Verdict(head, Broken(number, fault), 0, at)
        head, at = Head(entry["n"], entry["sum"]), str(entry.get("at", ""))
        if wanted.get(head.number, head.sum) != head.sum:
            return Verdict(head, Broken(number, "is another entry than was noted"), 0, at)
    if torn is not None and torn.endswith(b"\n"):
        return Verdict(head, Broken(torn_line, "is no entry"), 0, at)
    last = max(wanted, default=0)
    if last > head.number:
        missing = f"entries {head.number + 1} to {last} are missing"
        return Verdict(head, Broken(number + 1, missing), 0, at)
    return Verdict(head, None, len(torn or b""), at)


def read(line: bytes) -> dict[str, Any] | None:
    """The entry in a line, or None if it is none. Its sum is not checked."""
    if not line.endswith(b"\n") or len(line) > MAX_LINE:
        return None
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("n"), int):
        return None
    return entry if isinstance(entry.get("sum"), str) else None


def _fault(entry: dict[str, Any], head: Head) -> str | None:
    if entry["sum"] != _sum({name: value for name, value in entry.items() if name != "sum"}):
        return "was altered: its sum is not that of what it says"
    if entry["n"] != head.number + 1:
        return f"is entry {entry['n']}, after entry {head.number}: removed, added or moved"
    if entry.get("prev") != head.sum:
        return "does not follow the entry before it: removed, added or altered"
    return None


def _sum(body: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
