"""Whether an edit holds however a server reads what was edited."""

from __future__ import annotations

import pytest

from shadow_agent.policy.edit_doubt import (
    done_by,
    fold_parameter,
    in_cookies,
    in_list,
    in_pairs,
    in_path,
)
from shadow_agent.policy.edit_shape import shape_of
from shadow_agent.policy.rule import Change

DONE = done_by(Change.PREFIX, b"p-")


def test_done() -> None:
    """As the edit wants it."""
    assert DONE(b"p-7")
    assert not DONE(b"7")
    assert done_by(Change.SET, b"x")(b"x")
    assert not done_by(Change.SET, b"x")(b"xy")
    assert not done_by(Change.REMOVE, b"")(b"")


@pytest.mark.parametrize(
    ("target", "done"),
    [
        (b"/users/p-5", True),
        (b"/users/p-5;v=1", True),  # in every reading
        (b"/users/p-a%2Fb", True),
        (b"/orders/5", True),
        (b"*", True),
        (b"/users/5", False),
        (b"/x/../users/5", False),
        (b"//users/5", False),
        (b"/users/p-5/../6", False),
        (b"/users/p-5%2f..%2f6", False),
        (b"/USERS/5/", False),
        (b"http://h/%75sers/5", False),
        (b"/" + b"%25" * 900, False),  # too odd to tell
    ],
)
def test_paths(target: bytes, *, done: bool) -> None:
    """Where any reading has the shape with another value, it is not done."""
    assert in_path(target, shape_of("/users/{id}"), 1, DONE) is done


def test_pairs_and_cookies() -> None:
    """Also where other servers separate them."""

    def same(name: bytes) -> bool:
        return fold_parameter(name) == b"id"

    assert in_pairs(b"a=1;id=p-2&ID[]=p-3&id", same, DONE)
    assert not in_pairs(b"a=1;id=2", same, DONE)
    assert not in_pairs(b"%69d=2", same, DONE)
    assert not in_pairs(b"+id=2", same, DONE)
    assert in_cookies(b'a=1, id="p-2"; b=3', same, DONE)
    assert not in_cookies(b"a=1, id=2", same, DONE)


def test_lists() -> None:
    """Each element."""
    assert in_list(b"p-1, p-2", DONE)
    assert not in_list(b"p-1, 2", DONE)
