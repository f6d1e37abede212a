"""Outgoing: from a request of production's to the bytes that the shadow gets, at the last moment.

Aliases that the shadow's answer to the request before has taught must be in it, so nothing is
settled before it is this request's turn. Most requests need one splice at the end of their head.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.alias import Aliases, AliasLimits, SessionAliases
from shadow_agent.policy.alias_apply import Pending, Substitution
from shadow_agent.policy.alias_learn import AliasRule, Teacher
from shadow_agent.policy.draft import Draft, Unfit
from shadow_agent.policy.edit import NOTHING, Recipe, apply, recipe
from shadow_agent.policy.edit_body import BodyKind, Uneditable, kind_of, unframed
from shadow_agent.policy.identity import Identity, Marks, field_line
from shadow_agent.policy.rule import Action, Change, Edit, Part, Place, Rule
from shadow_agent.telemetry.reasons import Refused

# Rules whose edits are remembered in their checked form; they are replaced by a reload only.
_RECIPES: Final = 1024


class Ready(Enum):
    """Whether a request can go out."""

    YES = "yes"
    BODY = "body"  # not before its body is whole: something in it is to be changed
    ALIAS = "alias"  # not before the shadow has answered what this request builds on


_YES: Final = Ready.YES  # a look-up on the class costs 60 ns


class OutgoingLimits(NamedTuple):
    """Bytes; what is over one is refused: uneditable, malformed."""

    max_body: int = 256 << 10  # of a body that is edited: it is held, and read value by value
    max_head: int = 64 << 10  # as what is taken from production


class Settings(NamedTuple):
    """What an operator said of identity."""

    marks: Marks = Marks()
    namespaces: tuple[Edit, ...] = ()
    aliases: tuple[AliasRule, ...] = ()
    automatic: bool = True  # cookies and Location teach by themselves
    alias_limits: AliasLimits = AliasLimits()
    limits: OutgoingLimits = OutgoingLimits()


class Outgoing:
    """Edits of the rule, then namespaces, then aliases, then the marks."""

    __slots__ = ("_bodiless", "_everywhere", "_limits", "_nowhere", "_recipes", "_sessions",
                 "_substitution", "aliases", "identity", "teacher")  # fmt: skip

    def __init__(self, settings: Settings, run: str) -> None:
        """``run`` names the run and the worker. Raises ValueError for what no config check let."""
        self.identity = Identity(settings.marks, run)
        self.aliases = Aliases(settings.alias_limits)
        self._sessions = self.aliases.sessions  # to see without a call that one has no alias
        self.teacher = Teacher(settings.aliases, automatic=settings.automatic)
        self._substitution = Substitution([to for rule in settings.aliases for to in rule.to])
        self._everywhere = recipe(settings.namespaces, optional=True)
        self._nowhere = not self._everywhere.steps
        self._bodiless = not self._everywhere.kinds
        self._limits = settings.limits
        self._recipes: dict[int, tuple[Rule, Recipe]] = {}

    def ready(self, exchange: Exchange, pieces: Sequence[bytes], *, whole: bool) -> Ready:
        """Whether it may go out now; ``whole``: no more of its body will come."""
        if exchange.rule is None and exchange.session not in self._sessions and self._bodiless:
            return _YES
        made = self._recipe(exchange)
        known = self.aliases.of(exchange.session, exchange.request_started_ts)
        if not whole and exchange.request.framing and self._wants_body(exchange, made, known):
            return Ready.BODY
        if known is not None and known.pending:
            try:
                self._edited(exchange, pieces, made, known)
            except Pending:
                return Ready.ALIAS
            except (Unfit, Uneditable):
                pass  # dress will say so
        return Ready.YES

    def dress(self, exchange: Exchange, pieces: Sequence[bytes]) -> bytes | Refused:
        """What goes out first: the head, and as much of the body as is there.

        ``pieces``: the body so far, as captured; all of it where `ready` waited for it.
        """
        made, known = NOTHING, None
        if exchange.rule is not None:
            made = self._recipe(exchange)
        if exchange.session in self._sessions:
            known = self.aliases.of(exchange.session, exchange.request_started_ts)
        if made is NOTHING and known is None and self._nowhere:
            head = self.identity.splice(exchange)
            if head is not None:
                return b"".join((head, *pieces)) if pieces else head
        if self.identity.loops(exchange):
            return Refused.LOOP
        try:
            made_bytes, sent = self._edited(exchange, pieces, made, known)
        except Unfit:
            return Refused.MALFORMED
        except (Uneditable, Pending):
            return Refused.UNEDITABLE
        self.aliases.counts.sent += sent
        return made_bytes

    def _edited(
        self, exchange: Exchange, pieces: Sequence[bytes], made: Recipe,
        known: SessionAliases | None,
    ) -> tuple[bytes, int]:  # fmt: skip
        """The bytes, and how many aliases are in them."""
        request = exchange.request
        kind = kind_of(request)
        body = None
        if request.framing and self._wants_body(exchange, made, known):
            body = unframed(request, pieces, self._limits.max_body)
        draft = Draft(request.raw, request.target, body)
        apply(made, draft, kind, self._limits.max_body)
        apply(self._everywhere, draft, kind, self._limits.max_body)
        sent = 0
        if known is not None:
            most = self._limits.max_body
            sent = self._substitution.run(draft, known, kind, most, exchange.id)
        self.identity.mark(draft, exchange)
        head = draft.head(self._limits.max_head)
        if draft.body_changed:
            return head + (draft.body or b""), sent
        return b"".join((head, *pieces)), sent

    def _wants_body(self, exchange: Exchange, made: Recipe, known: SessionAliases | None) -> bool:
        kind = kind_of(exchange.request)
        if made.wants(kind) or self._everywhere.wants(kind):
            return True
        return known is not None and kind is not BodyKind.OTHER

    def _recipe(self, exchange: Exchange) -> Recipe:
        rule = exchange.rule
        if rule is None or rule.action not in _EDITING:
            return NOTHING
        found = self._recipes.get(id(rule))
        if found is not None and found[0] is rule:
            return found[1]
        made = recipe_of(rule)
        if len(self._recipes) >= _RECIPES:
            self._recipes.clear()
        self._recipes[id(rule)] = rule, made
        return made


_EDITING: Final = frozenset({Action.TAG, Action.REWRITE})


def recipe_of(rule: Rule) -> Recipe:
    """What a rule's tag or edits do, checked. Raises ValueError with the fix."""
    edits = rule.edits
    if rule.action is Action.TAG:
        name, value = field_line(rule.tag)
        place = Place(Part.HEADER, name.decode())
        edits = (Edit(place, Change.SET, value.decode()),)
    return recipe(edits, rule.path)
