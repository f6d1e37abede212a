"""What a rule would change in a request: lines before and after, as `policy test` shows them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.draft import Draft, Unfit
from shadow_agent.policy.edit import apply
from shadow_agent.policy.edit_body import Uneditable, kind_of, unframed
from shadow_agent.policy.outgoing import OutgoingLimits, recipe_of
from shadow_agent.policy.rule import Rule

_LIMITS: Final = OutgoingLimits()
# Lines shown of one request, and characters of a line.
_MOST_LINES: Final = 40
_LONGEST: Final = 200


def changed_lines(rule: Rule, exchange: Exchange, pieces: Sequence[bytes]) -> list[str]:
    """``- before`` and ``+ after``, the wire's bytes as Latin-1; or why it would be refused.

    ``pieces``: the whole body as captured.
    """
    request = exchange.request
    recipe, kind = recipe_of(rule), kind_of(request)
    try:
        body = None
        if request.framing and recipe.wants(kind):
            body = unframed(request, pieces, _LIMITS.max_body)
        draft = Draft(request.raw, request.target, body)
        apply(recipe, draft, kind, _LIMITS.max_body)
        head = draft.head(_LIMITS.max_head)
    except Unfit:
        return ["! refused: malformed"]
    except Uneditable:
        return ["! refused: uneditable"]
    before, after = _lines(request.raw), _lines(head)
    if draft.body_changed:
        before.append((body or b"").decode("latin-1"))
        after.append((draft.body or b"").decode("latin-1"))
    found = [
        line[:_LONGEST] for line in difflib.ndiff(before, after) if line.startswith(("- ", "+ "))
    ]
    return found[:_MOST_LINES]


def _lines(head: bytes) -> list[str]:
    return [line.decode("latin-1") for line in head.rstrip(b"\r\n").split(b"\r\n")]
