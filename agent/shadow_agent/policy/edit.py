"""What rules and namespaces change in a request: an edit is done everywhere it says, or fails.

An edit that cannot be done (a body that is no JSON, a path that can be read in two ways) raises:
the request is refused by name, never sent without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from shadow_agent.policy import edit_json
from shadow_agent.policy.draft import FRAMING, Draft, Unfit, check_name, check_value
from shadow_agent.policy.edit_body import BodyKind, Uneditable, decoded, encoded
from shadow_agent.policy.edit_json import Kind, NotPlain, Value
from shadow_agent.policy.edit_shape import Shape, shape_of
from shadow_agent.policy.edit_target import (
    Change as PairChange,
)
from shadow_agent.policy.edit_target import (
    change_pairs,
    check_cookie,
    decoded_segment,
    decoded_value,
    encoded_segment,
    encoded_value,
    split,
)
from shadow_agent.policy.rule import Change, Edit, Part

if TYPE_CHECKING:
    from shadow_agent.policy.jsonpath import Path

_SET: Final = Change.SET
_PREFIX: Final = Change.PREFIX
_REMOVE: Final = Change.REMOVE


class Step(NamedTuple):
    """One edit, checked and in bytes."""

    part: Part
    name: bytes
    change: Change
    value: bytes
    number: int = 0  # of the segment
    shape: Shape | None = None
    path: Path | None = None
    optional: bool = False  # a namespace: only where the request has the place


class Recipe(NamedTuple):
    """The edits of one rule, or all namespaces."""

    steps: tuple[Step, ...]
    kinds: frozenset[BodyKind]  # of body that some step changes
    optional: bool

    def wants(self, kind: BodyKind) -> bool:
        """Whether a body of this kind has to be there whole."""
        return kind in self.kinds if self.optional else bool(self.kinds)


NOTHING: Final = Recipe((), frozenset(), optional=True)


def recipe(edits: Iterable[Edit], template: str | None = None, *, optional: bool = False) -> Recipe:
    """Checked edits; ``template`` names the path segments. Raises ValueError with the fix.

    A namespace's edits (``optional``) name a segment by a template of their own with one variable.
    """
    steps = tuple(_step(edit, template, optional=optional) for edit in edits)
    kinds = {BodyKind(step.part) for step in steps if step.part in {Part.JSON, Part.FORM}}
    return Recipe(steps, frozenset(kinds), optional)


def _step(edit: Edit, template: str | None, *, optional: bool) -> Step:
    part, name, change = edit.place.part, edit.place.name, edit.change
    try:
        raw, value = name.encode(), edit.value.encode()
        check_value(value)
        if part is Part.COOKIE:
            check_cookie(value)
        if part in {Part.HEADER, Part.COOKIE}:
            check_name(raw)
    except Unfit as error:
        raise ValueError(
            f"{part}:{name} with {edit.value!r} would be no {error}; leave out controls"
        ) from error
    if change is _PREFIX and not value:
        raise ValueError(f"{part}:{name}: an empty prefix; give its value")
    if part is Part.HEADER:
        if raw.lower() in FRAMING:
            raise ValueError(f"{name} says where a request ends; it cannot be edited")
        return Step(part, raw, change, value, optional=optional)
    if part is Part.JSON:
        from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415 - a parser that few need

        path = Path(name)
        if change is _REMOVE and not path.singular:
            raise ValueError(f"{part}:{name} may be many places; remove one by its name: $.a.b")
        return Step(part, raw, change, value, path=path, optional=optional)
    if part is not Part.SEGMENT:
        return Step(part, raw, change, value, optional=optional)
    shape = shape_of(name if optional else template or "")
    if optional and len(shape.names) == 1:
        return Step(
            part, raw, change, value, next(iter(shape.names.values())), shape, optional=True
        )
    if optional or name not in shape.names:
        raise ValueError(f"{part}:{name} names no {{variable}} of a path; write /orders/{{id}}")
    return Step(part, raw, change, value, shape.names[name], shape)


def apply(made: Recipe, draft: Draft, kind: BodyKind, most: int) -> None:
    """All steps in order. Raises Unfit and Uneditable."""
    text: bytes | None = None
    if draft.body:
        if not made.optional and made.kinds and kind not in made.kinds:
            raise Uneditable("another kind of body")
        if kind in made.kinds:
            text = decoded(draft, most)
    before = text
    for step in made.steps:
        if step.part is Part.JSON:
            if text and kind is BodyKind.JSON:
                text = _json(step, text)
        elif step.part is Part.FORM:
            if text and kind is BodyKind.FORM:
                text = change_pairs(text, b"&", _pair_change(step))
        else:
            _HEAD[step.part](step, draft)
    if text is not None and text != before:
        draft.set_body(encoded(draft, text))


def _header(step: Step, draft: Draft) -> None:
    low = step.name.lower()
    if step.change is _REMOVE:
        draft.drop(low)
    elif step.change is _SET:
        draft.put(step.name, step.value)
    else:
        for field in draft.fields:
            if field.name == low and not field.value.startswith(step.value):
                field.set(step.value + field.value)


def _cookie(step: Step, draft: Draft) -> None:
    seen = False

    def change(name: bytes, raw: bytes) -> bytes | None:
        nonlocal seen
        if name.strip(b" \t") != step.name:
            return raw
        seen = True
        if step.change is _REMOVE:
            return None
        if step.change is _SET:
            return step.value
        quote = raw[:1] if raw[:1] == b'"' else b""
        return raw if raw.startswith(quote + step.value) else quote + step.value + raw[len(quote) :]

    first = None
    for field in [field for field in draft.fields if field.name == b"cookie"]:
        made = change_pairs(field.value, b";", change).strip(b" \t")
        if made or not field.value:
            field.set(made)
            first = first or field
        else:
            draft.fields.remove(field)
    if step.change is _SET and not seen:
        pair = step.name + b"=" + step.value
        if first is None:
            draft.put(b"Cookie", pair)
        else:
            first.set(first.value + b"; " + pair if first.value else pair)


def _pair_change(step: Step) -> PairChange:
    def change(name: bytes, raw: bytes) -> bytes | None:
        if decoded_value(name) != step.name:
            return raw
        if step.change is _REMOVE:
            return None
        if step.change is _SET:
            return encoded_value(step.value)
        if decoded_value(raw).startswith(step.value):
            return raw
        return encoded_value(step.value) + raw

    return change


def _query(step: Step, draft: Draft) -> None:
    parts = split(draft.target)
    if parts is None:
        return
    query = parts.query or b""
    made: bytes | None = change_pairs(query, b"&", _pair_change(step))
    if step.change is _SET and not any(
        decoded_value(pair.partition(b"=")[0]) == step.name for pair in query.split(b"&")
    ):
        pair = encoded_value(step.name) + b"=" + encoded_value(step.value)
        made = query + b"&" + pair if query else pair
    if made == query:
        return
    draft.set_target(parts._replace(query=made or None).join())


def _segment(step: Step, draft: Draft) -> None:
    parts, shape = split(draft.target), step.shape
    if parts is None or shape is None or not shape.fits(parts):
        if step.optional:
            return
        raise Uneditable("path")  # the rule read it in another way than it is written
    segments = list(parts.segments)
    if step.change is _REMOVE:
        del segments[step.number]
    elif step.change is _SET:
        segments[step.number] = encoded_segment(step.value)
    elif not decoded_segment(segments[step.number]).startswith(step.value):
        segments[step.number] = encoded_segment(step.value) + segments[step.number]
    draft.set_target(parts._replace(segments=tuple(segments)).join())


_HEAD: Final = {
    Part.HEADER: _header,
    Part.COOKIE: _cookie,
    Part.QUERY: _query,
    Part.SEGMENT: _segment,
}


def _json(step: Step, body: bytes) -> bytes:
    if step.path is None:
        raise TypeError("a JSON step without its path")
    try:
        text = edit_json.decode(body)
        values = edit_json.scan(text)
        found = step.path.find(edit_json.load(text))
        if not found.whole:
            raise Uneditable("too many places")
        locations = {place.location for place in found.places}
        chosen = _outer(values, locations)
        if step.change is _REMOVE:
            return edit_json.remove(text, chosen[0]).encode() if chosen else body
        return edit_json.replace(text, chosen, lambda one: _json_value(step, one)).encode()
    except NotPlain as error:
        raise Uneditable("not plain JSON") from error


def _outer(values: Sequence[Value], locations: set[tuple[str | int, ...]]) -> list[Value]:
    """Those at the locations, by where they stand."""
    return sorted(
        (value for value in values if value.location in locations), key=lambda value: value.start
    )


def _json_value(step: Step, value: Value) -> str | None:
    """What stands in its place: a string stays one, a number where it can, or becomes a string."""
    text = step.value.decode()
    if step.change is _SET:
        number = value.kind is Kind.NUMBER and edit_json.is_number(text)
        literal = value.kind is Kind.LITERAL and text in {"true", "false", "null"}
        return text if number or literal else edit_json.quoted(text)
    if value.kind is Kind.CONTAINER or (value.text in {"true", "false"} and (
        value.kind is Kind.LITERAL
    )):  # fmt: skip
        raise Uneditable("no value that can have a prefix")
    if value.kind is Kind.LITERAL or value.text.startswith(text):
        return None  # null: nothing is there
    whole = text + value.text
    if value.kind is Kind.NUMBER and edit_json.is_number(whole):
        return whole
    return edit_json.quoted(whole)
