"""ANSWER-FILE: what the stub server says in another's place.

A raw HTTP/1 response, sent as it is before the connection is closed; or a JSON object:
``{"status": 201, "headers": {"X-A": "b"}, "body": {...} or "text"}``, or ``{"protocol": "smtp"}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import orjson

from shadow_agent.errors import UsageError

MAX_BYTES: Final = 1 << 20
_KEYS: Final = frozenset({"protocol", "status", "headers", "body"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN: Final = frozenset({"content-length", "transfer-encoding", "connection"})
_FIX: Final = 'write {"status": 200, "headers": {}, "body": ""}, or a raw HTTP/1.1 response'
_EMPTY_STATUS: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes for one request. ``closes``: the connection ends with them."""

    head: bytes
    body: bytes
    closes: bool = False
    mail: bool = False  # SMTP instead

    def to(self, method: str) -> bytes:
        """What a request of this method gets."""
        return self.head if method == "HEAD" else self.head + self.body


def made(status: int, body: bytes, headers: dict[str, str]) -> Answer:
    """An HTTP answer with its length."""
    known = {one.value: one.phrase for one in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, 'Stub')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if status not in _EMPTY_STATUS:
        lines.append(f"Content-Length: {len(body)}")
    else:
        body = b""
    return Answer("\r\n".join([*lines, "", ""]).encode("latin-1"), body)


# To a request that no answer was given for.
NO_ANSWER: Final = made(501, b"the stub has no answer for this method\n", {})
MAIL: Final = Answer(b"", b"", mail=True)


def read(path: Path, flag: str) -> Answer:
    """The answer in a file. Raises UsageError that names flag, file and fix."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{flag}: {path}: {error.strerror}", "name a file to answer with"
        ) from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{flag}: {path}: above {MAX_BYTES} bytes", "give a shorter answer")
    try:
        if data.startswith(b"HTTP/1."):
            return _raw(data)
        return _from_json(data)
    except ValueError as error:
        raise UsageError(f"{flag}: {path}: {error}", _FIX) from error


def _raw(data: bytes) -> Answer:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        head, end, body = data.partition(b"\n\n")
        head = head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if not end or not re.match(rb"HTTP/1\.[01] \d{3}[ \r]?", head):
        raise ValueError("no whole head of an HTTP/1 response")
    return Answer(head + b"\r\n\r\n", body, closes=True)


def _from_json(data: bytes) -> Answer:
    try:
        given = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"neither a raw HTTP response nor JSON: {error}") from error
    if not isinstance(given, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - of the file, not of the program
    unknown = sorted(given.keys() - _KEYS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]}; the keys are {', '.join(sorted(_KEYS))}")
    protocol = given.get("protocol", "http")
    if protocol == "smtp":
        if len(given) > 1:
            raise ValueError("protocol smtp takes no other key")
        return MAIL
    if protocol != "http":
        raise ValueError(f"protocol {protocol!r}: http or smtp")
    return made(_status(given.get("status", 200)), *_content(given))


def _status(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise ValueError(f"status {value!r}: a number from 200 to 599")
    return value


def _content(given: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    headers = given.get("headers", {})
    if not isinstance(headers, dict):
        raise ValueError("headers: no object")  # noqa: TRY004
    for name, value in headers.items():
        fits = isinstance(value, str) and value.isprintable() and value.isascii()
        if not _TOKEN.fullmatch(name) or not fits:
            raise ValueError(f"headers.{name}: a header's name, and printable text")
        if name.lower() in _OWN:
            raise ValueError(f"headers.{name}: the stub says this itself")
    body = given.get("body", "")
    if isinstance(body, str):
        return body.encode(), headers
    if not any(name.lower() == "content-type" for name in headers):
        headers = {**headers, "Content-Type": "application/json"}
    return orjson.dumps(body), headers
