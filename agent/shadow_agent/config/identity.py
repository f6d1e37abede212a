"""``[identity]``, ``[[alias]]``, ``[[namespace]]``: what makes a replayed request the shadow's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shadow_agent.config import parse
from shadow_agent.config.key import Key, Rows, Section
from shadow_agent.policy.alias import AliasLimits
from shadow_agent.policy.alias_learn import AliasRule
from shadow_agent.policy.draft import Unfit, check_name
from shadow_agent.policy.edit import recipe
from shadow_agent.policy.edit_shape import shape_of
from shadow_agent.policy.identity import MAX_LINE, Forwarded, Marks, field_line
from shadow_agent.policy.outgoing import OutgoingLimits, Settings
from shadow_agent.policy.rule import Change, Edit, Part, Place

_NS: Final = 1_000_000_000
_EXAMPLE: Final = "write header:N, cookie:N, query:N, form:N, json:$.PATH or segment:/orders/{id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityOptions:
    """What every replayed request carries, and how values of both builds are told apart."""

    # ``Name: value``. A request of production's that carries it is a loop. "" switches it off.
    marker: str = Marks().marker
    # The header with the exchange's id, on both sides of a comparison. "" switches it off.
    request_id: str = Marks().request_id
    # Of writes: production's key behind the prefix, or one made of the id. "" switches it off.
    idempotency_key: str = Marks().idempotency_key
    idempotency_prefix: str = Marks().idempotency_prefix
    # How the client's address reaches the shadow.
    forwarded: Forwarded = Forwarded.OFF
    # Whether Set-Cookie and Location teach aliases by themselves.
    aliases: bool = True
    # A session not heard of for so long is forgotten.
    session_expiry_s: float = 1800.0
    # Sessions of one worker that are remembered; over it the one silent for longest is forgotten.
    max_sessions: int = AliasLimits().max_sessions
    # Aliases of one session; over it its oldest is forgotten.
    max_aliases: int = AliasLimits().max_per_session
    # Bytes of all aliases of one worker; over it as over max-sessions.
    max_alias_bytes: int = AliasLimits().max_bytes
    # A body that must be edited, or in which values are looked for. Over it the request is
    # replay.refused.uneditable, and an answer teaches nothing.
    max_body_bytes: int = OutgoingLimits().max_body

    @property
    def marks(self) -> Marks:
        """As policy knows them."""
        return Marks(
            marker=self.marker,
            request_id=self.request_id,
            idempotency_key=self.idempotency_key,
            idempotency_prefix=self.idempotency_prefix,
            forwarded=self.forwarded,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """Values at these places get a prefix, in every request that has them."""

    prefix: str
    at: tuple[Place, ...]

    def __post_init__(self) -> None:
        """Raises ValueError with the fix."""
        recipe(self.edits, optional=True)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """As policy knows them."""
        return tuple(Edit(place, Change.PREFIX, self.prefix) for place in self.at)


def cautions(options: IdentityOptions, *, shared_sessions: bool) -> list[str]:
    """What an operator should know at the start; ``shared_sessions``: over several workers."""
    found = []
    if not options.marker:
        found.append(
            "identity.marker is off: the shadow cannot tell what is replayed, and its own calls "
            "are known as a loop by its address only"
        )
    if shared_sessions:
        found.append(
            "with several workers a session by header or cookie is known to each by itself: what "
            "one worker learned of it the others do not know; give workers = 1"
        )
    return found


def outgoing_settings(
    options: IdentityOptions,
    aliases: tuple[AliasRule, ...],
    namespaces: tuple[Namespace, ...],
    max_head: int,
) -> Settings:
    """As policy is told."""
    return Settings(
        marks=options.marks,
        namespaces=tuple(edit for one in namespaces for edit in one.edits),
        aliases=aliases,
        automatic=options.aliases,
        alias_limits=AliasLimits(
            max_sessions=options.max_sessions,
            max_per_session=options.max_aliases,
            max_bytes=options.max_alias_bytes,
            expiry_ns=round(options.session_expiry_s * _NS),
        ),
        limits=OutgoingLimits(max_body=options.max_body_bytes, max_head=max_head),
    )


def _or_off(convert: Callable[[str], object]) -> Callable[[object], str]:
    """Checked, or the empty string."""

    def checked(value: object) -> str:
        if value != "":
            convert(parse.text(value))
        return str(value)

    return checked


def _field_name(text: str) -> None:
    field_line(f"{text}: x")


def _prefix(value: object) -> str:
    text = parse.text(value)
    if len(text) > MAX_LINE:
        raise ValueError(f"a prefix of {len(text)} characters; at most {MAX_LINE}")
    return text


def _key_prefix(value: object) -> str:
    text = _prefix(value)
    if not text.isascii() or '"' in text or "\\" in text:
        raise ValueError(f"{text!r} does not fit into every key; use letters, digits, - and _")
    return text


def place(value: object) -> Place:
    """``PART:NAME``. A segment's name is a path template with one variable."""
    written = parse.text(value)
    kind, colon, name = written.partition(":")
    if kind not in list(Part) or not colon or not name:
        raise ValueError(f"{written!r} is no place; {_EXAMPLE}")
    part = Part(kind)
    if part in {Part.HEADER, Part.COOKIE}:
        try:
            check_name(name.encode())
        except Unfit as error:
            raise ValueError(f"{name!r} cannot be the name of a {part}") from error
    elif part is Part.JSON:
        from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415 - a parser that few need

        Path(name)
    elif part is Part.SEGMENT and len(shape_of(name).names) != 1:
        raise ValueError(f"{name!r} must have one {{variable}}; write segment:/orders/{{id}}")
    return Place(part, name)


def _places(value: object) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(place(one) for one in parse.listed(value)))


def _shown(value: Any) -> Any:
    if isinstance(value, Place):
        return f"{value.part}:{value.name}"
    return [_shown(one) for one in value] or None


def _forwarded(value: object) -> Forwarded:
    return Forwarded(parse.one_of(*(str(one) for one in Forwarded))(value))


_KEYS: Final[Mapping[str, Key]] = {
    "aliases": Key("aliases", parse.flag),
    "forwarded": Key("forwarded", _forwarded),
    "idempotency-key": Key("idempotency_key", _or_off(_field_name)),
    "idempotency-prefix": Key("idempotency_prefix", _key_prefix),
    "marker": Key("marker", _or_off(field_line)),
    "max-alias-bytes": Key("max_alias_bytes", parse.whole(1, parse.MAX_COUNT)),
    "max-aliases": Key("max_aliases", parse.whole(1, 4096)),
    "max-body-bytes": Key("max_body_bytes", parse.whole(1, 1 << 20)),
    "max-sessions": Key("max_sessions", parse.whole(1, parse.MAX_COUNT)),
    "request-id": Key("request_id", _or_off(_field_name)),
    "session-expiry-s": Key("session_expiry_s", parse.seconds),
}
IDENTITY: Final = Section("identity", IdentityOptions, _KEYS)
ALIAS: Final = Rows(
    "aliases",
    AliasRule,
    {"from": Key("source", place, _shown), "to": Key("to", _places, _shown)},
)
NAMESPACE: Final = Rows(
    "namespaces",
    Namespace,
    {"at": Key("at", _places, _shown), "prefix": Key("prefix", _prefix)},
)
