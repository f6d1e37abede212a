"""Draft: a request being changed. What nobody changes stays as captured, byte for byte."""

from __future__ import annotations

import re
from typing import Final

# A token of RFC 9110: what a field name may be.
is_token: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
# What would end a field, or its request.
_find_breaking: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
# A continuation line belongs to the field before it (obs-fold); read as a space.
_unfold: Final = re.compile(rb"\r?\n[ \t]+").sub
# Whoever changes these changes where the request ends, or who it is for.
FRAMING: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"te", b"trailer", b"transfer-encoding",
     b"upgrade"}
)  # fmt: skip


class Unfit(Exception):
    """A value that would make the request malformed where it is to stand."""


class Field:
    """One field of a head: ``raw`` with its line end, ``value`` without white space around."""

    __slots__ = ("name", "raw", "value")

    def __init__(self, raw: bytes) -> None:
        """As captured; continuation lines included."""
        name, _, rest = raw.partition(b":")
        self.raw = raw
        self.name = name.strip(b" \t").lower()
        value = rest.strip(b" \t\r\n")
        self.value = _unfold(b" ", value) if b"\n" in value else value

    def set(self, value: bytes) -> None:
        """Another value, in the same place. Raises Unfit."""
        if value == self.value:
            return
        check_value(value)
        name, _, rest = self.raw.partition(b":")
        space = rest[: len(rest) - len(rest.lstrip(b" \t"))] if rest.strip() else b" "
        end = b"\r\n" if self.raw.endswith(b"\r\n") else b"\n"
        self.raw = name + b":" + space + value + end
        self.value = value


class Draft:
    """Request line, fields and, where it is known whole, the body (after chunked decoding)."""

    __slots__ = ("_body", "_changed", "_end", "_line", "_target", "fields")

    def __init__(self, raw: bytes, target: bytes, body: bytes | None = None) -> None:
        """``raw``: a head as captured, with its empty line; ``target`` as the parser read it."""
        lines = [line + b"\n" for line in raw.split(b"\n")]
        lines.pop()  # behind the last line end there is nothing
        self._end = lines.pop()
        self._line = lines[0]
        self._target = target
        folded: list[bytes] = []
        for line in lines[1:]:
            if folded and line[:1] in b" \t":
                folded[-1] += line
            else:
                folded.append(line)
        self.fields = [Field(line) for line in folded]
        self._body = body
        self._changed = False

    @property
    def target(self) -> bytes:
        """The request target."""
        return self._target

    def set_target(self, target: bytes) -> None:
        """Another target. Raises Unfit."""
        if not target or any(byte <= 0x20 or byte == 0x7F for byte in target):
            raise Unfit("target")
        start = self._line.index(self._target, self._line.index(b" "))
        self._line = self._line[:start] + target + self._line[start + len(self._target) :]
        self._target = target

    @property
    def body(self) -> bytes | None:
        """The decoded body; None where it streams."""
        return self._body

    @property
    def body_changed(self) -> bool:
        """The body is not the captured one."""
        return self._changed

    def set_body(self, body: bytes) -> None:
        """Another body: it will be sent with its length, unchunked."""
        if body != self._body:
            self._body = body
            self._changed = True

    def value(self, name: bytes) -> bytes | None:
        """The first field's value; ``name`` in lower case."""
        return next((field.value for field in self.fields if field.name == name), None)

    def put(self, name: bytes, value: bytes) -> None:
        """One field of that name and no other: the first is changed, or it is added last."""
        low = name.lower()
        check_name(name)
        found = [field for field in self.fields if field.name == low]
        if found:
            found[0].set(value)
            self.fields = [one for one in self.fields if one.name != low or one is found[0]]
        else:
            check_value(value)
            self.fields.append(Field(name + b": " + value + b"\r\n"))

    def drop(self, name: bytes) -> None:
        """No field of that name; in lower case."""
        self.fields = [field for field in self.fields if field.name != name]

    def head(self, most: int) -> bytes:
        """As it is to be sent, with the empty line. Raises Unfit above ``most`` bytes."""
        if self._changed and self._body is not None:
            for name in (b"transfer-encoding", b"trailer"):
                self.drop(name)
            self.put(b"Content-Length", b"%d" % len(self._body))
        made = b"".join((self._line, *(field.raw for field in self.fields), self._end))
        if len(made) > most:
            raise Unfit("head too long")
        return made


def check_name(name: bytes) -> None:
    """Raises Unfit for what is no field name."""
    if not is_token(name):
        raise Unfit("field name")


def check_value(value: bytes) -> None:
    """Raises Unfit for what would not be one field's value: CR, LF, NUL, other controls."""
    if _find_breaking(value):
        raise Unfit("field value")
