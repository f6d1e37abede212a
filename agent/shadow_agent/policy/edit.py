"""What rules and namespaces change in a request: an edit is done everywhere it says, or fails.

An edit that cannot be done (a body that is no JSON, a path that can be read in two ways) raises:
the request is refused by name, never sent without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from shadow_agent.policy import edit_json
from shadow_agent.policy.draft import Draft
from shadow_agent.policy.edit_body import BodyKind, Uneditable, decoded, encoded
from shadow_agent.policy.edit_doubt import (
    done_by,
    fold_parameter,
    in_cookies,
    in_list,
    in_pairs,
    in_path,
)
from shadow_agent.policy.edit_json import Kind, NotPlain, Value
from shadow_agent.policy.edit_step import Step, step_of
from shadow_agent.policy.edit_target import (
    Change as PairChange,
)
from shadow_agent.policy.edit_target import (
    change_pairs,
    decoded_segment,
    decoded_value,
    encoded_segment,
    encoded_value,
    split,
)
from shadow_agent.policy.fields import fold_name
from shadow_agent.policy.rule import Change, Edit, Part

_SET: Final = Change.SET
_PREFIX: Final = Change.PREFIX
_REMOVE: Final = Change.REMOVE


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
    steps = tuple(step_of(edit, template, optional=optional) for edit in edits)
    kinds = {BodyKind(step.part) for step in steps if step.part in {Part.JSON, Part.FORM}}
    return Recipe(steps, frozenset(kinds), optional)


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
                text = _form(step, text)
        else:
            _HEAD[step.part](step, draft)
    if text is not None and text != before:
        draft.set_body(encoded(draft, text))


def _header(step: Step, draft: Draft) -> None:
    """Also of fields that servers take for it, such as X_User for X-User."""
    low, folded = step.name.lower(), fold_name(step.name)
    if step.change is _PREFIX:
        for field in draft.fields:
            if fold_name(field.name) == folded:
                if not field.value.startswith(step.value):
                    field.set(step.value + field.value)
                if not in_list(field.value, done_by(_PREFIX, step.value)):
                    raise Uneditable("a list")
        return
    if step.change is _SET:
        draft.put(step.name, step.value)
    kept = low if step.change is _SET else None
    draft.fields = [
        one for one in draft.fields if one.name == kept or fold_name(one.name) != folded
    ]


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
    done = done_by(step.change, step.value)
    for field in draft.fields:
        if field.name == b"cookie" and b"," in field.value:
            _sure(in_cookies(field.value, lambda name: name.strip(b" \t") == step.name, done))


def _sure(done: bool) -> None:
    """Raises Uneditable for what is not done however it is read."""
    if not done:
        raise Uneditable("read in two ways")


def _same_parameter(step: Step) -> Callable[[bytes], bool]:
    """A namespace is for whatever a server may take for the parameter."""
    if step.optional:
        wanted = fold_parameter(step.name)
        return lambda name: fold_parameter(name) == wanted
    return lambda name: decoded_value(name) == step.name


def _pair_change(step: Step) -> PairChange:
    same = _same_parameter(step)

    def change(name: bytes, raw: bytes) -> bytes | None:
        if not same(name):
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
    made = change_pairs(query, b"&", _pair_change(step))
    if step.change is _SET and not any(
        decoded_value(pair.partition(b"=")[0]) == step.name for pair in query.split(b"&")
    ):
        pair = encoded_value(step.name) + b"=" + encoded_value(step.value)
        made = query + b"&" + pair if query else pair
    if made != query:
        draft.set_target(parts._replace(query=made or None).join())
    if b";" in made or parts.after:
        # who knows no fragment reads on behind the #
        _sure(_pairs_done(step, made + parts.after))


def _form(step: Step, text: bytes) -> bytes:
    made = change_pairs(text, b"&", _pair_change(step))
    if b";" in made:
        _sure(_pairs_done(step, made))
    return made


def _pairs_done(step: Step, text: bytes) -> bool:
    return in_pairs(text, _same_parameter(step), done_by(step.change, step.value))


def _segment(step: Step, draft: Draft) -> None:
    parts, shape = split(draft.target), step.shape
    if shape is None:
        raise TypeError("a segment's step without its shape")
    segments = [] if parts is None else list(parts.segments)
    if parts is not None and shape.fits([*map(decoded_segment, segments)], lax=step.optional):
        if step.change is _REMOVE:
            del segments[step.number]
        elif step.change is _SET:
            segments[step.number] = encoded_segment(step.value)
        elif not decoded_segment(segments[step.number]).startswith(step.value):
            segments[step.number] = encoded_segment(step.value) + segments[step.number]
        draft.set_target(parts._replace(segments=tuple(segments)).join())
    elif not step.optional:
        raise Uneditable("path")  # the rule read it in another way than it is written
    if step.change is not _REMOVE:
        done = done_by(step.change, step.value)
        _sure(in_path(draft.target, shape, step.number, done))


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
