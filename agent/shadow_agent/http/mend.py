"""What RFC 9112 lets a recipient understand and llhttp refuses, rewritten so that llhttp can judge.

Only a head that llhttp has refused comes here. The result is for judging and framing; what is
replayed stays as captured. None: the head cannot be understood in one way only.
"""

from __future__ import annotations

import re
from typing import Final

_FRAMING: Final = rb"(?:content-length|transfer-encoding|host|connection|expect|upgrade)"
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FLAGS: Final = re.IGNORECASE
_has_fold: Final = re.compile(rb"\r\n[ \t]").search
# A framing field that is folded, a folded line that looks like one, white space alone on a line,
# and white space right after the start line: each is read in different ways by different servers.
_has_bad_fold: Final = re.compile(
    rb"\r\n%b[ \t]*:[^\r\n]*\r\n[ \t]|\r\n[ \t]+%b[ \t]*:|\r\n[ \t]+\r\n|\A[^\r\n]*\r\n[ \t]"
    % (_FRAMING, _FRAMING),
    _FLAGS,
).search
_unfold: Final = re.compile(rb"[ \t]*\r\n[ \t]+").sub
_match_method: Final = re.compile(rb"(%b) (?=[^ ])" % _TOKEN).match
# Methods whose rules are their own (CONNECT, PRI), or that llhttp knows for sure.
_LISTED: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS",
                            b"TRACE", b"CONNECT", b"PRI"})  # fmt: skip
_HIGH: Final = bytes(range(128)) + b"x" * 128
_loosen: Final = re.compile(rb"(\r\n%b)[ \t]+:" % _TOKEN).sub
_find_lengths: Final = re.compile(
    rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", _FLAGS
).findall
_drop_length: Final = re.compile(rb"\r\ncontent-length:[^\r\n]*", _FLAGS).sub


def mend_request(raw: bytes) -> bytes | None:
    """Line feeds alone, folding, a method that is not on llhttp's list, UTF-8 in a target.

    A method that is not listed becomes POST: it has no rules of its own either.
    """
    head = _mend_lines(raw)
    if head is None:
        return None
    line, _, fields = head.partition(b"\r\n")
    match = _match_method(line)
    if match is not None and match[1] not in _LISTED:
        line = b"POST" + line[match.end(1) :]
    return line.translate(_HIGH) + b"\r\n" + fields


def mend_response(raw: bytes) -> bytes | None:
    """Line feeds alone, folding, white space before a colon, equal lengths (RFC 9110 8.6)."""
    head = _mend_lines(raw)
    if head is None:
        return None
    head = _loosen(rb"\1:", head)
    lengths = _find_lengths(head)
    if len(lengths) > 1 and len({int(length) for length in lengths}) == 1:
        head = _drop_length(b"", head, count=len(lengths) - 1)
    return head


def _mend_lines(raw: bytes) -> bytes | None:
    head = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if _has_fold(head) is None:
        return head
    return None if _has_bad_fold(head) is not None else _unfold(b" ", head)
