"""What an operator may say of requests: which, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final

# Safe by RFC 9110 9.2.1, less TRACE: replaying them changes nothing in a service that keeps to it.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Action(StrEnum):
    """What becomes of a request that a rule matches."""

    REPLAY = "replay"  # sent as captured, less what every request gets
    DROP = "drop"  # not sent: replay.refused.rule
    TAG = "tag"  # sent with one more header, for the application to act on
    REWRITE = "rewrite"  # sent with the rule's edits


class Part(StrEnum):
    """Which part of a request holds a value."""

    HEADER = "header"
    COOKIE = "cookie"  # one cookie of the Cookie header
    QUERY = "query"  # a parameter of the target's query
    SEGMENT = "segment"  # a path segment, by the name that the rule's template gives it
    JSON = "json"  # of the body, by JSONPath (RFC 9535)
    FORM = "form"  # a field of an urlencoded body


class Change(StrEnum):
    """What is done to a value."""

    SET = "set"  # replaced; a header, cookie or query parameter that is absent is added
    PREFIX = "prefix"  # each value gets it in front, unless it has it; what is absent stays so
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: ``name`` is a field, parameter, template variable or JSONPath."""

    part: Part
    name: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One change at one place; ``value`` is empty for REMOVE."""

    place: Place
    change: Change
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The first rule that matches decides. What is None or empty matches everything."""

    name: str
    action: Action
    # None: whatever --methods lets through; for DROP every method
    methods: frozenset[str] | None = None
    # a path template: ``/orders/{id}``, ``*`` for any one segment, ``**`` at the end for any rest
    path: str | None = None
    # shell patterns (``*``, ``?``), case-insensitive
    host: str | None = None
    # name (lower case) and a shell pattern for the value, each of which must match
    headers: tuple[tuple[str, str], ...] = ()
    # of the client: a PROXY preamble's word, else the flow's
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    # TAG: the header to add, as ``Name: value``
    tag: str = ""
    # REWRITE: in this order
    edits: tuple[Edit, ...] = ()
    # what each such request takes from the run's budget of cost
    cost: float = 1.0
