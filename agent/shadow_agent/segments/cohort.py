"""Cohort: a group of clients, by what their requests say: a header, a cookie, a claim, a field.

Values are the clients' choice: what is shown of them is short and plain, and how many there are is
bounded. No claim is verified: whoever can forge one chooses the cohort it is counted in, no more.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

import orjson

from shadow_agent.http.exchange import Exchange

if TYPE_CHECKING:  # its library costs 60 ms, which who asks for no body need not pay
    from shadow_agent.policy.jsonpath import Path

NONE: Final = "none"  # the request does not say
OTHER: Final = "other"  # one more than are told apart
_RESERVED: Final = {NONE: "%6Eone", OTHER: "%6Fther"}
# Characters of a value; a longer one is cut.
_LONGEST: Final = 64
_MAX_TOKEN: Final = 8192
_MAX_BODY: Final = 64 << 10
_CACHED: Final = 1024
_CACHED_BYTES: Final = 2048
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


class By(StrEnum):
    """Where a request says which cohort it is of."""

    HEADER = "header"
    COOKIE = "cookie"
    # a member of a JSON Web Token's payload, of `Authorization: Bearer`
    JWT = "jwt"
    # a value in a JSON body, by JSONPath
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Source:
    """``header:X-Plan``, ``cookie:plan``, ``jwt:plan``, ``body:$.account.plan``."""

    by: By
    name: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Raises ValueError with the fix."""
        kind, colon, name = text.partition(":")
        if not colon or kind not in set(By) or not name:
            raise ValueError(
                f"{text!r} says nothing of a request; write header:X-Plan, cookie:plan, jwt:plan "
                "or body:$.plan"
            )
        by = By(kind)
        if by is By.BODY:
            _json_path(name)
        elif by is By.JWT:
            if len(name) > 256:
                raise ValueError(f"a claim of {len(name)} characters; give at most 256")
        elif not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a {by}; write it as in {by}:X-Plan")
        return cls(by, name)

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.by}:{self.name}"


class Cohorts:
    """At most ``most`` names, first come, first kept; and ``none`` and ``other``."""

    __slots__ = (
        "_by_value",
        "_cookie",
        "_lower",
        "_names",
        "_path",
        "_source",
        "_written",
        "most",
        "overflowed",
    )

    def __init__(self, source: Source, most: int = 100) -> None:
        self._source = source
        field = {By.COOKIE: "Cookie", By.JWT: "Authorization"}.get(source.by, source.name)
        self._written = f"\n{field}:".encode()
        self._lower = self._written.lower()
        self._cookie = source.name.encode()
        self._path = _json_path(source.name) if source.by is By.BODY else None
        self._names: set[str] = set()
        self._by_value: dict[bytes, str] = {}
        self.most = most
        self.overflowed = 0  # requests counted under `other`

    def find(self, exchange: Exchange) -> str:
        """The cohort of an exchange, once its request has ended."""
        if self._path is not None:
            body = exchange.request_body
            if not body or len(body) > _MAX_BODY:
                return NONE
            return self._named(_scalar(_first(self._path, body)))
        value = field_of(exchange.request.raw, self._written, self._lower)
        if value is None:
            return NONE
        known = self._by_value.get(value)
        if known is not None:
            if known == OTHER:
                self.overflowed += 1
            return known
        name = self._named(self._read(value))
        if len(value) <= _CACHED_BYTES:
            if len(self._by_value) >= _CACHED:
                self._by_value.clear()
            self._by_value[value] = name
        return name

    def _read(self, value: bytes) -> bytes | None:
        if self._source.by is By.HEADER:
            return value
        if self._source.by is By.COOKIE:
            return _cookie(value, self._cookie)
        scheme, _, token = value.partition(b" ")
        return claim(token.strip(), self._source.name) if scheme.lower() == b"bearer" else None

    def _named(self, value: bytes | None) -> str:
        if not value:
            return NONE
        name = quote_from_bytes(value[:_LONGEST], safe=" !#$&'()*+,:;=@[]^|/")
        name = _RESERVED.get(name, name)
        if name in self._names:
            return name
        if len(self._names) >= self.most:
            self.overflowed += 1
            return OTHER
        self._names.add(name)
        return name


def field_of(head: bytes, written: bytes, lower: bytes) -> bytes | None:
    """The value of a head's first field with this name; None: it has none.

    The name between a line's end and its colon, as it is most likely written, and in lower case.
    """
    at = head.find(written)
    if at < 0:
        at = head.lower().find(lower)
        if at < 0:
            return None
    at += len(lower)
    end = head.find(b"\n", at)
    return head[at : end if end >= 0 else len(head)].strip(b" \t\r")


def claim(token: bytes, name: str) -> bytes | None:
    """A member of a token's payload, unverified; None for what is no token, or has it not."""
    if len(token) > _MAX_TOKEN:
        return None
    parts = token.split(b".", 3)
    if len(parts) != 3:
        return None
    payload = parts[1]
    try:
        found = orjson.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (Base64Error, ValueError):
        return None
    return _scalar(found.get(name)) if isinstance(found, dict) else None


def _json_path(text: str) -> Path:
    from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415

    return Path(text)


def _first(path: Path, body: bytes) -> Any:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    places = path.find(document, 1).places
    return places[0].value if places else None


def _scalar(value: Any) -> bytes | None:
    """Text, numbers and truth as they are written; objects and lists are no cohort."""
    if isinstance(value, str):
        # JSON may hold half a surrogate pair
        return value[:_LONGEST].encode("utf-8", "replace")
    if isinstance(value, bool | int | float):
        return orjson.dumps(value) if isinstance(value, bool) else str(value).encode()
    return None


def _cookie(field: bytes, name: bytes) -> bytes | None:
    for part in field.split(b";"):
        found, equals, value = part.partition(b"=")
        if equals and found.strip() == name:
            return value.strip().strip(b'"')
    return None
