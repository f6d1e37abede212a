"""RuleSet: the operator's rules, compiled; the first that matches a request decides.

A rule that drops fails safe by matching generously, any other by matching strictly: where a path,
a host or a field can be understood in several ways (see `policy.readings`, `policy.fields`), a
drop needs one of them, and what lets a request out needs all. Where some would let it out and
others not, it is ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from ipaddress import IPv6Address
from operator import and_, or_
from typing import Final, NamedTuple

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.fields import Field, Held, by_name, fold_name, match_all
from shadow_agent.policy.paths import PathIndex
from shadow_agent.policy.rule import Action, Rule
from shadow_agent.policy.template import Template

# Clients and hosts whose rules are remembered; full, it starts anew.
_CACHED: Final = 4096
_CACHED_BYTES: Final = 256
_count_hosts: Final = re.compile(rb"\nhost[ \t]*:", re.IGNORECASE).findall
_strip_port: Final = re.compile(r":[0-9]*$").sub


class Match(NamedTuple):
    """The rule that decides; ``sure`` is false where some readings of the request match only."""

    rule: Rule
    sure: bool


class RuleSet:
    """Rules by number, as bits of one integer per dimension: what is left in all of them matches.

    Fields are split only when a rule that is left asks for one.
    """

    __slots__ = (
        "_closing",
        "_fields",
        "_hosts",
        "_methods",
        "_none_field",
        "_none_host",
        "_none_path",
        "_none_source",
        "_other",
        "_paths",
        "_patterns",
        "_rules",
        "_sources",
    )  # fmt: skip

    def __init__(self, rules: Sequence[Rule], default: frozenset[str] | None) -> None:
        """``default``: the methods of a rule that names none and does not drop; None is all."""
        self._rules = [
            (rule, tuple((name.encode("latin-1"), _pattern(value)) for name, value in rule.headers))
            for rule in rules
        ]
        bits = [(1 << number, rule) for number, rule in enumerate(rules)]
        self._closing = sum(bit for bit, rule in bits if rule.action is Action.DROP)
        # by method: rules that take it; those of any other
        effective = [(bit, methods_of(rule, default)) for bit, rule in bits]
        self._other = sum(bit for bit, methods in effective if methods is None)
        named = {name for _, methods in effective if methods is not None for name in methods}
        self._methods = {
            name: sum(bit for bit, methods in effective if methods is None or name in methods)
            for name in named
        }
        self._none_path = sum(bit for bit, rule in bits if rule.path is None)
        self._none_host = sum(bit for bit, rule in bits if rule.host is None)
        self._none_field = sum(bit for bit, rule in bits if not rule.headers)
        # by the name that a rule asks for first, folded
        self._fields: dict[bytes, int] = {}
        for bit, rule in bits:
            for name, _ in rule.headers[:1]:
                key = fold_name(name.encode("latin-1"))
                self._fields[key] = self._fields.get(key, 0) | bit
        self._none_source = sum(bit for bit, rule in bits if not rule.sources)
        self._paths = PathIndex(
            (number, Template(rule.path), rule.action is Action.DROP)
            for number, rule in enumerate(rules)
            if rule.path is not None
        )
        self._patterns = [(bit, _pattern(rule.host)) for bit, rule in bits if rule.host is not None]
        self._hosts: dict[bytes, int] = {}
        self._sources: dict[bytes, int] = {}

    @property
    def rules(self) -> list[Rule]:
        """In order."""
        return [rule for rule, _ in self._rules]

    def find(self, exchange: Exchange) -> Match | None:
        """The first rule that matches, or that may."""
        request = exchange.request
        closing = self._closing
        left = self._methods.get(request.method, self._other)
        unsure = 0
        if request.override:
            taken = [
                self._methods.get(name, self._other) for name in (request.method, *request.override)
            ]
            left = reduce(or_, taken)
            unsure = left & ~reduce(and_, taken) & ~closing
        if not left:
            return None
        found = self._paths.find(request.target)
        unsure |= found.some
        left &= self._none_path | found.every | found.some | found.any
        if left & ~self._none_host:
            every, any_ = self._of_hosts(exchange, found.authority)
            left &= self._none_host | any_
            unsure |= any_ & ~every & ~closing
        if left & ~self._none_source:
            left &= self._none_source | self._of_source(exchange.client[0])
        fields: dict[bytes, Field] = {}
        if left & ~self._none_field:
            fields = by_name(request.headers)
            there = self._none_field
            for name in fields:
                there |= self._fields.get(name, 0)
            left &= there
        while left:
            bit = left & -left
            number = bit.bit_length() - 1
            rule, wanted = self._rules[number]
            sure = not bit & unsure
            if not wanted:
                return Match(rule, sure)
            held = match_all(fields, wanted)
            if held is not Held.NO:
                return Match(rule, bit & closing != 0 or (sure and held is Held.ALL))
            left ^= bit
        return None

    def _of_hosts(self, exchange: Exchange, authority: bytes | None) -> tuple[int, int]:
        """Rules with a host: those for which every host of the request will do, and any."""
        head = exchange.request
        names = [] if authority is None else [authority]
        if head.host is not None:
            names.append(head.host)
        if len(_count_hosts(head.raw)) > 1:
            names += [value for name, value in head.headers if name.lower() == b"host"]
        if not names:
            # who serves it is the server's choice: a drop cannot rule it out
            return 0, self._closing
        every, any_ = -1, 0
        for name in names:
            found = self._of_host(name)
            every &= found
            any_ |= found
        return every, any_

    def _of_host(self, name: bytes) -> int:
        found = self._hosts.get(name)
        if found is None:
            text = plain_host(name)
            found = sum(bit for bit, pattern in self._patterns if pattern.fullmatch(text))
            if len(self._hosts) >= _CACHED:
                self._hosts.clear()
            if len(name) <= _CACHED_BYTES:
                self._hosts[name] = found
        return found

    def _of_source(self, client: bytes) -> int:
        found = self._sources.get(client)
        if found is None:
            whole = IPv6Address(client)
            address = whole.ipv4_mapped or whole
            found = 0
            for number, (rule, _) in enumerate(self._rules):
                if any(address in network for network in rule.sources):
                    found |= 1 << number
            if len(self._sources) >= _CACHED:
                self._sources.clear()
            self._sources[client] = found
        return found


def methods_of(rule: Rule, default: frozenset[str] | None) -> frozenset[str] | None:
    """What the rule takes; None is all. To open a write, a rule has to name its method."""
    if rule.methods is not None or rule.action is Action.DROP:
        return rule.methods
    return default


def plain_host(name: bytes) -> str:
    """A Host field's value as rules see it: lower case, without port and final dot."""
    return _strip_port("", name.decode("latin-1").strip().lower()).removesuffix(".")


def _pattern(shell: str) -> re.Pattern[str]:
    """``*`` is any characters and ``?`` any one; all else is itself, in either case.

    What stands between two ``*`` is looked for once, from the left: no text makes it slow.
    """
    first, *more = ("".join("." if c == "?" else re.escape(c) for c in one)
                    for one in re.split(r"\*+", shell))  # fmt: skip
    made = first
    if more:
        made += "".join(f"(?>.*?{one})" for one in more[:-1]) + f".*{more[-1]}"
    return re.compile(made, re.IGNORECASE | re.DOTALL)
