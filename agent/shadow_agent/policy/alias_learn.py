"""What an answer hands out, and which of it differs between production and the shadow (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shadow_agent.policy.alias import Pair, Where
from shadow_agent.policy.draft import Unfit, check_name
from shadow_agent.policy.edit_target import decoded_segment, decoded_value, split
from shadow_agent.policy.rule import Part, Place

if TYPE_CHECKING:
    from shadow_agent.http.head import ResponseHead
    from shadow_agent.policy.jsonpath import Path

# What one answer hands out at most; the rest is not learned. A session holds no more either.
MAX_HANDED: Final = 64
# A path segment that is as long, or has a digit in it, is taken for an id rather than a word.
_LONG: Final = 16
# A shorter number that was learned without being declared holds at its own place only.
_RARE: Final = 8
_SOURCES: Final = frozenset({Part.HEADER, Part.COOKIE, Part.JSON})

# By place: the place's own name, and which of several there.
Key: TypeAlias = tuple[int | str, object]
Handed: TypeAlias = dict[Key, bytes]

NOTHING: Final[Handed] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRule:
    """A place of answers that hands out a value, and where requests carry it; () is anywhere."""

    source: Place
    to: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError with the fix."""
        part, name = self.source.part, self.source.name
        if part not in _SOURCES:
            raise ValueError(f"{part}:{name} is in no answer; write header:, cookie: or json:")
        if part is Part.JSON:
            _path(name)
        for place in (self.source, *self.to):
            if place.part in {Part.HEADER, Part.COOKIE}:
                try:
                    check_name(place.name.encode())
                except Unfit as error:
                    raise ValueError(f"{place.part}:{place.name} is no name") from error

    @property
    def where(self) -> tuple[Where, ...]:
        """The places as aliases know them."""
        return tuple(where_of(place) for place in self.to) or (None,)


def where_of(place: Place) -> tuple[Part, bytes]:
    """A place of a request: names of fields do not tell case apart."""
    name = place.name.encode()
    return place.part, name.lower() if place.part is Part.HEADER else name


class Teacher:
    """Reads answers of both sides by the same rules."""

    __slots__ = ("_automatic", "_json", "_needles", "_rules", "_wheres", "reads_bodies")

    def __init__(self, rules: Sequence[AliasRule], *, automatic: bool) -> None:
        """``automatic``: cookies and Location, wherever they are handed out."""
        self._rules = rules
        self._automatic = automatic
        self._wheres = [rule.where for rule in rules]
        self._json = [
            (number, _path(rule.source.name))
            for number, rule in enumerate(rules)
            if rule.source.part is Part.JSON
        ]
        self.reads_bodies = bool(self._json)
        names = {
            rule.source.name.lower().encode() for rule in rules if rule.source.part is Part.HEADER
        }
        if automatic or any(rule.source.part is Part.COOKIE for rule in rules):
            names.add(b"set-cookie")
        if automatic:
            names.add(b"location")
        self._needles = [b"\n" + name + b":" for name in sorted(names)]

    def handed(self, head: ResponseHead, body: bytes | None) -> Handed:
        """What a final answer hands out; ``body`` None: it was not kept."""
        if head.plain_for is self:
            return NOTHING
        low = head.raw.lower()
        for needle in self._needles:
            if needle in low:
                break
        else:
            if not self._json:
                head.plain_for = self  # equal heads are one object
                return NOTHING
        found: Handed = {}
        for name, value in head.headers:
            self._take_field(found, name.lower(), value)
        if self._json and body and b"json" in low:
            self._take_json(found, body)
        return found

    def pairs(self, ours: Handed, theirs: Handed) -> Iterator[Pair]:
        """Where both handed out something; equal values too: they end an alias."""
        for key, mine in ours.items():
            other = theirs.get(key)
            if other is None:
                continue
            kind, name = key
            if kind == "location":
                yield from _located(mine, other)
            else:
                for where in self._where(kind, name):
                    if where is not None or isinstance(kind, int) or _is_rare(mine):
                        yield from _variants(where, mine, other)

    def expected(self, ours: Handed) -> Iterator[tuple[Where, bytes]]:
        """What production handed out, while the shadow's answer is to come."""
        for (kind, name), mine in ours.items():
            if kind == "location":
                yield from _ids(mine)
            else:
                for where in self._where(kind, name):
                    if where is not None or isinstance(kind, int) or _is_rare(mine):
                        yield where, mine

    def _where(self, kind: int | str, name: object) -> tuple[Where, ...]:
        if isinstance(kind, int):
            return self._wheres[kind]
        if not isinstance(name, bytes):
            raise TypeError("a cookie without its name")
        return (Part.COOKIE, name), None

    def _take_field(self, found: Handed, name: bytes, value: bytes) -> None:
        if len(found) >= MAX_HANDED:
            return
        if name == b"set-cookie":
            cookie, equals, text = value.partition(b";")[0].partition(b"=")
            cookie, text = cookie.strip(), text.strip().strip(b'"')
            if not equals or not text:
                return
            if self._automatic:
                found["cookie", cookie] = text
            for number, rule in enumerate(self._rules):
                if rule.source.part is Part.COOKIE and rule.source.name.encode() == cookie:
                    found[number, cookie] = text
        elif name == b"location" and self._automatic:
            found["location", None] = value
        for number, rule in enumerate(self._rules):
            source = rule.source
            if source.part is Part.HEADER and source.name.lower().encode() == name:
                found.setdefault((number, None), value)

    def _take_json(self, found: Handed, body: bytes) -> None:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return  # it hands out nothing that a client could read
        for number, path in self._json:
            for place in path.find(document, MAX_HANDED).places:
                text = _text(place.value)
                if text and len(found) < MAX_HANDED:
                    found[number, place.location] = text


def _path(text: str) -> Path:
    from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415 - a parser that few need

    return Path(text)


def _text(value: Any) -> bytes | None:
    """A string or a whole number as it would stand in a request."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    return None


def _variants(where: Where, ours: bytes, theirs: bytes) -> Iterator[Pair]:
    """As handed out, and without percent signs, as scripts pass cookies on."""
    yield Pair(where, ours, theirs)
    if where is None and b"%" in ours:
        yield Pair(where, decoded_segment(ours), decoded_segment(theirs))


def _located(ours: bytes, theirs: bytes) -> Iterator[Pair]:
    """Segments and query values in which two locations of the same shape differ."""
    mine, other = split(ours), split(theirs)
    if mine is None or other is None or len(mine.segments) != len(other.segments):
        return
    before = b""
    for one, another in zip(mine.segments, other.segments, strict=True):
        value, theirs_value = decoded_segment(one), decoded_segment(another)
        if value != theirs_value:
            if not (_is_id(value) and _is_id(theirs_value)):
                return  # another page, not another id
            yield Pair((Part.SEGMENT, before), value, theirs_value)
            if _is_rare(value):
                yield Pair(None, value, theirs_value)
        before = value
    queries = [dict(_query(parts.query or b"")) for parts in (mine, other)]
    for name, value in queries[0].items():
        if name in queries[1] and queries[1][name] != value:
            yield Pair((Part.QUERY, name), value, queries[1][name])
            if _is_rare(value):
                yield Pair(None, value, queries[1][name])


def _ids(location: bytes) -> Iterator[tuple[Where, bytes]]:
    """What may differ in the shadow's location, with the places it would hold at."""
    parts = split(location)
    if parts is None:
        return
    before = b""
    places: list[tuple[Where, bytes]] = []
    for raw in parts.segments[:MAX_HANDED]:
        value = decoded_segment(raw)
        if _is_id(value):
            places.append(((Part.SEGMENT, before), value))
        before = value
    places += (((Part.QUERY, name), value) for name, value in _query(parts.query or b""))
    for where, value in places:
        yield where, value
        if _is_rare(value):
            yield None, value


def _query(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    for pair in query.split(b"&")[:MAX_HANDED]:
        name, equals, value = pair.partition(b"=")
        if equals:
            yield decoded_value(name), decoded_value(value)


def _is_rare(value: bytes) -> bool:
    """Not a short number, which may be a year, a page or a limit elsewhere: nobody declared it."""
    return len(value) >= _RARE or not value.isdigit()


def _is_id(value: bytes) -> bool:
    return len(value) >= _LONG or any(0x30 <= byte <= 0x39 for byte in value)
