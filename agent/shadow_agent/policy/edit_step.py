"""Step: one edit of a rule or a namespace, checked once and in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shadow_agent.policy.draft import FRAMING, Unfit, check_name, check_value
from shadow_agent.policy.edit_shape import Shape, shape_of
from shadow_agent.policy.edit_target import check_cookie
from shadow_agent.policy.rule import Change, Edit, Part

if TYPE_CHECKING:
    from shadow_agent.policy.jsonpath import Path


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


def step_of(edit: Edit, template: str | None, *, optional: bool) -> Step:
    """Of an edit; ``template`` names the path segments. Raises ValueError with the fix."""
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
    if change is Change.PREFIX and not value:
        raise ValueError(f"{part}:{name}: an empty prefix; give its value")
    if part is Part.HEADER:
        if raw.lower() in FRAMING:
            raise ValueError(f"{name} says where a request ends; it cannot be edited")
        return Step(part, raw, change, value, optional=optional)
    if part is Part.JSON:
        from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415 - a parser that few need

        path = Path(name)
        if change is Change.REMOVE and not path.singular:
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
