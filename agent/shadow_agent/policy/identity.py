"""What every replayed request carries: a marker, an id that joins both sides, whose it was."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.decision import SAFE_METHODS, is_write
from shadow_agent.policy.draft import FRAMING, Draft, Unfit, check_name, check_value

# Of a configured line: what somebody writes by hand.
MAX_LINE: Final = 1024
# Of production's idempotency key; over it the request is refused.
MAX_KEY: Final = 4096


class Forwarded(StrEnum):
    """How the client's address reaches the shadow."""

    OFF = "off"
    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"  # RFC 7239


_FIELDS: Final = {
    Forwarded.X_FORWARDED_FOR: b"X-Forwarded-For",
    Forwarded.FORWARDED: b"Forwarded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Fields that are added to what is replayed; an empty string switches one off."""

    # As ``Name: value``. A request of production's that has it is the shadow's own: a loop.
    marker: str = "X-Shadow-Request: 1"
    # Whose value is the exchange's id: ``RUN-WORKER-NUMBER``.
    request_id: str = "X-Shadow-Request-Id"
    # Of writes: production's key behind the prefix, else one made of the exchange's id.
    idempotency_key: str = "Idempotency-Key"
    idempotency_prefix: str = "shadow-"
    # The address of production's client.
    forwarded: Forwarded = Forwarded.OFF


def field_line(text: str) -> tuple[bytes, bytes]:
    """Name and value of ``Name: value``. Raises ValueError for what is no field to add."""
    name, colon, value = text.partition(":")
    try:
        raw = name.encode("ascii"), value.strip(" \t").encode()
        check_name(raw[0])
        check_value(raw[1])
    except (Unfit, UnicodeEncodeError) as error:
        raise ValueError(f"{text!r} is no header; write Name: value, in one line") from error
    if not colon or not raw[1]:
        raise ValueError(f"{text!r} has no value; write Name: value")
    if len(text) > MAX_LINE:
        raise ValueError(f"a header of {len(text)} characters; at most {MAX_LINE}")
    if raw[0].lower() in FRAMING | {b"host"}:
        raise ValueError(f"{name} says where a request ends or goes; name another header")
    return raw


def check_apart(marks: Marks) -> None:
    """Raises ValueError where one mark would take another's place."""
    names = [marks.marker.partition(":")[0], marks.request_id, marks.idempotency_key]
    if marks.forwarded is not Forwarded.OFF:
        names.append(_FIELDS[marks.forwarded].decode())
    taken: set[str] = set()
    for name in filter(None, names):
        if name.lower() in taken:
            raise ValueError(f"two marks in one field, {name}; give each a name of its own")
        taken.add(name.lower())


class Identity:
    """Adds the marks: by one splice where the request has none of these fields yet."""

    __slots__ = ("_forwarded", "_key", "_looked_for", "_looked_for_in_writes",
                 "_marker", "_marks", "_run", "_run_id", "_says_client", "_suffix")  # fmt: skip

    def __init__(self, marks: Marks, run: str) -> None:
        """``run`` names run and worker; with the exchange's number it is unique."""
        self._marks = marks
        self._run = run
        self._marker = field_line(marks.marker) if marks.marker else None
        self._run_id = marks.request_id.encode("ascii")
        self._key = marks.idempotency_key.encode("ascii")
        for name in filter(None, (self._run_id, self._key)):
            field_line(f"{name.decode()}: x")  # raises ValueError
        check_apart(marks)
        names = [self._run_id]
        always = b""
        if self._marker is not None:
            always = b": ".join(self._marker) + b"\r\n"
            names.append(self._marker[0])
        if self._run_id:
            always += self._run_id + b": " + run.encode("ascii") + b"-"
        # for heads that end in CRLF: with the exchange's number, and the empty line
        self._suffix = always.replace(b"%", b"%%") + b"%d\r\n" if self._run_id else always
        self._forwarded = marks.forwarded
        self._says_client = self._forwarded is not Forwarded.OFF
        if self._says_client:
            names.append(_FIELDS[self._forwarded])
        self._looked_for = _needles(names)
        self._looked_for_in_writes = _needles([*names, self._key])

    def request_id(self, exchange: Exchange) -> str:
        """The id by which both sides of an exchange are found."""
        return f"{self._run}-{exchange.id}"

    def loops(self, exchange: Exchange) -> bool:
        """Whether it carries the marker: then it is a call of the shadow's that came back."""
        marker = self._marker
        if marker is None:
            return False
        name, value = marker[0].lower(), marker[1]
        return any(
            field.lower() == name and said == value for field, said in exchange.request.headers
        )

    def splice(self, exchange: Exchange) -> bytes | None:
        """The head as captured and the marks at its end; None: it has such fields already."""
        request = exchange.request
        raw = request.raw
        write = request.method not in SAFE_METHODS or (request.override and is_write(request))
        shared = request.shared
        if write or shared is None or shared.plain_for is not self:
            low = raw.lower()
            for needle in self._looked_for_in_writes if write else self._looked_for:
                if needle in low:
                    return None
            if shared is not None and not write:
                shared.plain_for = self
        added = self._suffix % exchange.id if self._run_id else self._suffix
        if write and self._key:
            added += self._key + b": " + self._generated(exchange) + b"\r\n"
        if self._says_client:
            added += _FIELDS[self._forwarded] + b": " + self._client(exchange) + b"\r\n"
        # the empty line may be a bare LF, which servers read as its like
        end = -2 if raw.endswith(b"\r\n") else -1
        return raw[:end] + added + raw[end:]

    def mark(self, draft: Draft, exchange: Exchange) -> None:
        """The same, where some of these fields are there already. Raises Unfit."""
        if self._marker is not None:
            draft.put(*self._marker)
        if self._run_id:
            draft.put(self._run_id, self.request_id(exchange).encode("ascii"))
        if self._key and is_write(exchange.request):
            draft.put(self._key, self._derived(draft, exchange))
        if self._says_client:
            self._append_client(draft, exchange)

    def _generated(self, exchange: Exchange) -> bytes:
        return f"{self._marks.idempotency_prefix}{self.request_id(exchange)}".encode()

    def _derived(self, draft: Draft, exchange: Exchange) -> bytes:
        key = draft.value(self._key.lower())
        if not key:
            return self._generated(exchange)
        if len(key) > MAX_KEY:
            raise Unfit("idempotency key")
        prefix = self._marks.idempotency_prefix.encode()
        if key.startswith(b'"'):  # a structured string, as the draft of that header wants it
            return b'"' + prefix + key[1:]
        return prefix + key

    def _client(self, exchange: Exchange) -> bytes:
        address = IPv6Address(exchange.client[0])
        mapped = address.ipv4_mapped
        if self._forwarded is Forwarded.X_FORWARDED_FOR:
            return str(mapped or address).encode("ascii")
        # RFC 7239 6: an IPv6 address in brackets, and therefore in quotes
        return f"for={mapped}".encode() if mapped else f'for="[{address}]"'.encode()

    def _append_client(self, draft: Draft, exchange: Exchange) -> None:
        name = _FIELDS[self._forwarded]
        low = name.lower()
        last = next((field for field in reversed(draft.fields) if field.name == low), None)
        client = self._client(exchange)
        if last is None:
            draft.put(name, client)
        else:
            last.set(last.value + b", " + client if last.value else client)


def _needles(names: list[bytes]) -> tuple[bytes, ...]:
    """What to look for in a head; what begins like another is found with it."""
    low = sorted({name.lower() for name in names if name})
    return tuple(
        b"\n" + one
        for number, one in enumerate(low)
        if not any(one.startswith(other) for other in low[:number])
    )
