"""A request of production's with the shadow's values in place of production's (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from shadow_agent.policy import edit_json
from shadow_agent.policy.alias import Awaited, Known, SessionAliases
from shadow_agent.policy.draft import FRAMING, Draft, Unfit
from shadow_agent.policy.edit_body import BodyKind, Uneditable, decoded, encoded
from shadow_agent.policy.edit_json import Kind, NotPlain, Value
from shadow_agent.policy.edit_shape import Shape, shape_of
from shadow_agent.policy.edit_target import (
    change_pairs,
    check_cookie,
    decoded_segment,
    decoded_value,
    encoded_segment,
    encoded_value,
    split,
)
from shadow_agent.policy.rule import Part, Place

if TYPE_CHECKING:
    from shadow_agent.policy.jsonpath import Path

# Not a value that a service hands out: names of hosts, and what framing hangs on.
_NOT_VALUES: Final = FRAMING | {b"host", b"cookie"}
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization"})


class Pending(Exception):
    """The request carries a value for which the shadow's is still to come."""


class Substitution:
    """Where declared aliases may stand, beside anywhere."""

    __slots__ = ("_paths", "_shapes")

    def __init__(self, places: Sequence[Place]) -> None:
        """The places that aliases are declared to hold at. Raises ValueError."""
        self._shapes: list[tuple[bytes, Shape]] = []
        for place in dict.fromkeys(places):
            if place.part is Part.SEGMENT:
                shape = shape_of(place.name)
                if len(shape.names) != 1:
                    raise ValueError(
                        f"segment:{place.name} must have one {{variable}}: the segment with the id"
                    )
                self._shapes.append((place.name.encode(), shape))
        self._paths: list[tuple[bytes, Path]] = []
        for place in dict.fromkeys(places):
            if place.part is Part.JSON:
                from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415 - a parser that few need

                self._paths.append((place.name.encode(), Path(place.name)))

    def run(
        self, draft: Draft, known: SessionAliases, kind: BodyKind, most: int, exchange: int
    ) -> int:
        """Put in whatever the session has for this exchange's request; returns how often.

        Raises Pending, Unfit, Uneditable.
        """
        return _Run(self._shapes, self._paths, draft, known, exchange).all(kind, most)


class _Run:
    """One request."""

    __slots__ = ("_draft", "_exchange", "_known", "_paths", "_shapes", "count")

    def __init__(
        self,
        shapes: list[tuple[bytes, Shape]],
        paths: list[tuple[bytes, Path]],
        draft: Draft,
        known: SessionAliases,
        exchange: int,
    ) -> None:
        self._shapes = shapes
        self._paths = paths
        self._draft = draft
        self._known = known
        self._exchange = exchange
        self.count = 0

    def all(self, kind: BodyKind, most: int) -> int:
        self._target()
        for field in self._draft.fields:
            if field.name == b"cookie":
                field.set(change_pairs(field.value, b";", self._cookie))
            elif field.name not in _NOT_VALUES:
                field.set(self._field(field.name, field.value))
        if self._draft.body and kind is not BodyKind.OTHER:
            text = decoded(self._draft, most)
            made = self._json(text) if kind is BodyKind.JSON else self._form(text)
            if made != text:
                self._draft.set_body(encoded(self._draft, made))
        return self.count

    def _take(self, known: Known | None) -> bytes | None:
        """The shadow's value, if there is one."""
        if known is None:
            return None
        if isinstance(known, Awaited):
            if known.exchange < self._exchange:
                raise Pending
            return None
        if not isinstance(known, bytes):
            raise Unfit("alias")
        self.count += 1
        return known

    def _find(self, part: Part, name: bytes, value: bytes) -> bytes | None:
        return self._take(self._known.find(part, name, value))

    def _target(self) -> None:
        draft = self._draft
        parts = split(draft.target)
        if parts is None:
            return
        segments = list(parts.segments)
        values = [decoded_segment(raw) for raw in segments]
        places = {
            next(iter(shape.names.values())): name
            for name, shape in self._shapes
            if shape.fits(values)
        }
        before = b""
        for number, value in enumerate(values):
            found = None
            if number in places:
                found = self._take(self._known.at((Part.SEGMENT, places[number]), value))
            if found is None:
                found = self._find(Part.SEGMENT, before, value)
            if found is not None:
                segments[number] = encoded_segment(found)
            before = value
        query = parts.query
        if query:
            query = change_pairs(query, b"&", self._query)
        draft.set_target(parts._replace(segments=tuple(segments), query=query).join())

    def _query(self, name: bytes, raw: bytes) -> bytes:
        found = self._find(Part.QUERY, decoded_value(name), decoded_value(raw))
        return raw if found is None else encoded_value(found)

    def _form_value(self, name: bytes, raw: bytes) -> bytes:
        found = self._find(Part.FORM, decoded_value(name), decoded_value(raw))
        return raw if found is None else encoded_value(found)

    def _cookie(self, name: bytes, raw: bytes) -> bytes:
        value = raw.strip(b" \t")
        quote = b'"' if len(value) > 1 and value[:1] == value[-1:] == b'"' else b""
        found = self._find(Part.COOKIE, name.strip(b" \t"), value.strip(b'"') if quote else value)
        return raw if found is None else quote + check_cookie(found) + quote

    def _field(self, name: bytes, value: bytes) -> bytes:
        found = self._find(Part.HEADER, name, value)
        if found is None and name in _CREDENTIALS:
            scheme, space, token = value.partition(b" ")
            found = self._find(Part.HEADER, name, token.strip()) if space else None
            return value if found is None else scheme + space + found
        return value if found is None else found

    def _form(self, text: bytes) -> bytes:
        return change_pairs(text, b"&", self._form_value)

    def _json(self, body: bytes) -> bytes:
        if not self._paths and b"\\" not in body and not self._mentions(body):
            return body
        try:
            text = edit_json.decode(body)
            values = edit_json.scan(text)
            places = {}
            for name, path in self._paths:
                for place in path.find(edit_json.load(text)).places:
                    places[place.location] = name
        except NotPlain as error:
            if self._mentions(body):
                raise Uneditable("not plain JSON") from error
            return body

        def change(value: Value) -> str | None:
            if value.kind is Kind.CONTAINER or value.kind is Kind.LITERAL:
                return None
            said = value.text.encode("utf-8", "surrogatepass")
            found = None
            if value.location in places:
                found = self._take(self._known.at((Part.JSON, places[value.location]), said))
            if found is None and value.kind is Kind.STRING:
                found = self._find(Part.JSON, b"", said)
            if found is None:
                return None
            made = found.decode("utf-8", "replace")
            if value.kind is Kind.NUMBER and edit_json.is_number(made):
                return made
            return edit_json.quoted(made)

        return edit_json.replace(text, values, change).encode("utf-8", "surrogatepass")

    def _mentions(self, body: bytes) -> bool:
        """Whether any value of production's is in there, as part of something or by itself."""
        return any(value in body for value in self._known.values())
