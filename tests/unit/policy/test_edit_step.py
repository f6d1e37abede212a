"""One edit, checked."""

from __future__ import annotations

import pytest

from shadow_agent.policy.edit_step import step_of
from shadow_agent.policy.rule import Change, Edit, Part, Place


def test_a_segment_is_named_by_a_template() -> None:
    """A rule's by the rule's path, a namespace's by its own."""
    edit = Edit(Place(Part.SEGMENT, "id"), Change.PREFIX, "p")
    assert step_of(edit, "/orders/{id}", optional=False).number == 1
    own = Edit(Place(Part.SEGMENT, "/a/b/{id}"), Change.PREFIX, "p")
    assert step_of(own, None, optional=True).number == 2
    for wrong, optional in ((edit, True), (own, False)):
        with pytest.raises(ValueError, match=r"no path|names no"):
            step_of(wrong, "/orders/{n}", optional=optional)
