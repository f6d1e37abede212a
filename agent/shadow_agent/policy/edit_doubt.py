"""Whether an edit is done in every way that servers may read what was edited.

``/x/../users/5`` is /users/5 to one server, ``?a=1;id=5`` has an id for one, ``X_User`` is X-User
to one: an edit of the value must hold there too. Where it does not, it cannot be done.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from shadow_agent.policy.edit_shape import Shape
from shadow_agent.policy.edit_target import decoded_value
from shadow_agent.policy.readings import INNER_SLASH, read_target
from shadow_agent.policy.rule import Change

_split_pairs: Final = re.compile(rb"[&;]").split
_split_cookies: Final = re.compile(rb"[;,]").split
_SPACE: Final = b" \t\r\n\v\f\0"

# Whether a value is as the edit wants it.
Done = Callable[[bytes], bool]


def done_by(change: Change, value: bytes) -> Done:
    """Of an edit; a value that should not be there at all never is."""
    if change is Change.PREFIX:
        return lambda found: found.startswith(value)
    if change is Change.SET:
        return lambda found: found == value
    return lambda _: False


def fold_parameter(raw: bytes) -> bytes:
    """A parameter's name as servers see it that ignore case, white space and the [] of a list."""
    return decoded_value(raw).strip(_SPACE).lower().removesuffix(b"[]")


def in_path(target: bytes, shape: Shape, number: int, done: Done) -> bool:
    """Whether that segment is done in every reading of the path that has the shape."""
    found = read_target(target)
    if found.ambiguous:
        return False
    return all(
        done(segments[number].replace(INNER_SLASH, b"/"))
        for segments in (path[1:].split(b"/") for path in found.paths)
        if shape.fits(segments, lax=True)
    )


def in_pairs(text: bytes, same: Callable[[bytes], bool], done: Done) -> bool:
    """Whether each value of that name is, also where ``;`` separates; of a query or a form."""
    return _all(_split_pairs(text), same, lambda raw: done(decoded_value(raw)))


def in_cookies(text: bytes, same: Callable[[bytes], bool], done: Done) -> bool:
    """The same of a Cookie field, also where ``,`` separates (RFC 2109)."""
    return _all(_split_cookies(text), same, lambda raw: done(raw.strip(_SPACE).strip(b'"')))


def in_list(value: bytes, done: Done) -> bool:
    """Whether each element of a field's list is, as well as the whole."""
    return done(value) and all(done(one.strip(_SPACE)) for one in value.split(b","))


def _all(pairs: list[bytes], same: Callable[[bytes], bool], done: Done) -> bool:
    for pair in pairs:
        name, equals, value = pair.partition(b"=")
        if equals and same(name) and not done(value):
            return False
    return True
