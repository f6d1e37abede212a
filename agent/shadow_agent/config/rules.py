"""``[[rule]]``: what becomes of which requests; the first rule that matches decides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from shadow_agent.config import parse
from shadow_agent.config.budget import cost
from shadow_agent.config.key import Key, RowError, Rows
from shadow_agent.policy.never import shadowed
from shadow_agent.policy.outgoing import recipe_of
from shadow_agent.policy.rule import SAFE_METHODS, Action, Change, Edit, Part, Place, Rule
from shadow_agent.policy.template import Template

# Checked against each other in pairs at the start; the time of a decision hardly grows.
MAX_RULES: Final = 1000
_MAX_NAME: Final = 64
_MAX_VALUE: Final = 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_HOST: Final = re.compile(r"[^A-Za-z0-9._*?\[\]:-]")
# Changing them would make one request into two, or into none.
_FRAMING: Final = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
_CHANGES: Final = {one.value: one for one in Change}
_PARTS: Final = {one.value: one for one in Part}
# Servers read no body that would come with these.
_BODILESS: Final = SAFE_METHODS | {"TRACE"}


def methods(value: object) -> frozenset[str]:
    """``"POST"`` or a list of methods; not all of them: who opens writes names them."""
    found = parse.methods(value)
    if found is None:
        raise ValueError("all are not named at once; name each, or leave the key out")
    if found <= {"CONNECT"}:
        raise ValueError("CONNECT can never match: it leaves HTTP; leave it out")
    return found


def path(value: object) -> str:
    """A path template."""
    return Template(parse.text(value)).text


def host(value: object) -> str:
    """A shell pattern for the name that the client asked for."""
    found = parse.text(value).lower().removesuffix(".")
    odd = _NOT_HOST.search(found)
    if odd is not None:
        raise ValueError(f"{value!r} can never match: {odd[0]!r} is in no host's name")
    if not found or ".." in found or (":" in found and not found.startswith("[")):
        raise ValueError(f"{value!r} can never match; write the name alone, as in *.example.com")
    if "[" in found and not re.fullmatch(r"\[[0-9a-f:.*?]+\]", found):
        raise ValueError(
            f"{value!r} can never match; an IPv6 address is written as in [2001:db8::9]"
        )
    return found


def headers(value: object) -> tuple[tuple[str, str], ...]:
    """``{ Name = "pattern" }``."""
    if not isinstance(value, dict) or not value:
        raise ValueError('write the fields as a table, such as { X-Plan = "free*" }')
    found: dict[str, str] = {}
    for name, pattern in value.items():
        lower = field_name(name).lower()
        if lower in found:
            raise ValueError(f"{name} twice; the case of a field's name makes no difference")
        text = pattern if pattern == "" else parse.text(pattern)
        if text != text.strip():
            raise ValueError(f"{text!r} can never match: no field's value has space at its ends")
        found[lower] = text
    return tuple(found.items())


def sources(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """One network or several, as CIDR or a single address."""
    return tuple(dict.fromkeys(map(_network, parse.listed(value))))


def _network(value: object) -> IPv4Network | IPv6Network:
    text = parse.text(value)
    try:
        network = ip_network(text)
    except ValueError:
        pass
    else:
        if network.version == 6 and network.network_address.ipv4_mapped and network.prefixlen >= 96:
            ipv4 = f"{network.network_address.ipv4_mapped}/{network.prefixlen - 96}"
            raise ValueError(f"{text!r} can never match: write {ipv4}, as for any IPv4 client")
        return network
    try:
        meant = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network; write it as in 10.1.0.0/16") from error
    raise ValueError(f"{text!r} names a host, not a network; write {meant}, or the host alone")


def tag(value: object) -> str:
    """``Name: value``, a header to add."""
    name, colon, text = parse.text(value).partition(":")
    if not colon:
        raise ValueError(f"{value!r} is no header; write it as in X-Dry-Run: 1")
    return f"{field_name(name.strip(), changed=True)}: {_value(text.strip(), Part.HEADER)}"


def edits(value: object) -> tuple[Edit, ...]:
    """Tables such as ``{ header = "X-User", prefix = "shadow-" }``, applied in this order."""
    return tuple(map(edit, parse.listed(value)))


def edit(value: object) -> Edit:
    """One table: a place, and what is done there."""
    if not isinstance(value, dict):
        # as in parse.whole
        raise ValueError(  # noqa: TRY004
            f'{value!r} is no table; write {{ header = "NAME", set = "VALUE" }}'
        )
    parts = [key for key in value if key in _PARTS]
    changes = [key for key in value if key in _CHANGES]
    unknown = sorted(set(value) - {*parts, *changes})
    if unknown or len(parts) != 1 or len(changes) != 1:
        what = f"unknown key {unknown[0]}; " if unknown else ""
        raise ValueError(
            f"{what}give one of {', '.join(_PARTS)} and one of {', '.join(_CHANGES)} in each table"
        )
    part, change = _PARTS[parts[0]], _CHANGES[changes[0]]
    place = Place(part, _place_name(part, value[part]))
    if change is Change.REMOVE:
        if value[change] is not True:
            raise ValueError("remove: write true, or leave the table out")
        if part is Part.SEGMENT or (part is Part.HEADER and place.name == "host"):
            raise ValueError(f"{part} {place.name}: cannot be removed; set it")
        return Edit(place, change)
    text = value[change]
    if text != "" or change is Change.PREFIX or part is Part.SEGMENT:
        parse.text(text)
    return Edit(place, change, _value(text, part))


def field_name(name: object, *, changed: bool = False) -> str:
    """A header's name; ``changed``: one that may be changed."""
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} can be no header's name")
    if changed and name.lower() in _FRAMING:
        raise ValueError(f"{name}: says where a request ends, and stays as it was captured")
    return name


def _place_name(part: Part, name: object) -> str:
    if part is Part.HEADER:
        return field_name(name, changed=True).lower()
    text = parse.text(name)
    if part is Part.COOKIE and not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} can be no cookie's name")
    if part is Part.JSON:
        from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415 - a parser that few need

        return Path(text).text
    return text


def _value(text: str, part: Part) -> str:
    if len(text) > _MAX_VALUE:
        raise ValueError(f"{len(text)} characters are too many; give at most {_MAX_VALUE}")
    if part in {Part.HEADER, Part.COOKIE} and not text.isascii():
        raise ValueError(f"{text!r} is not ASCII, which a {part} has to be")
    if part is Part.COOKIE and re.search(r'[\s",;\\]', text):
        raise ValueError(f"{text!r} can be no cookie's value")
    return text


def name_of(value: object) -> str:
    """The rule's name, in reports."""
    found = parse.text(value)
    if len(found) > _MAX_NAME or not found.isascii():
        raise ValueError(f"{found!r} can be no rule's name; give at most {_MAX_NAME} of ASCII")
    return found


def make(*, action: Action | None = None, name: str = "", **given: Any) -> Rule:
    """One rule from its keys. Raises ValueError for what does not fit together."""
    if action is None:
        raise ValueError(f"action is missing; give one of {', '.join(Action)}")
    if action is Action.DROP and "cost" in given:
        raise ValueError("what is dropped costs nothing; leave cost out")
    rule = Rule(name=name, action=action, **given)
    if (action is Action.TAG) != bool(rule.tag):
        fix = 'write tag = "X-Dry-Run: 1"' if action is Action.TAG else 'write action = "tag"'
        raise ValueError(f"action {action} and tag do not fit together; {fix}")
    if (action is Action.REWRITE) != bool(rule.edits):
        fix = (
            'write rewrite = [{ header = "NAME", set = "VALUE" }]'
            if action is Action.REWRITE
            else 'write action = "rewrite"'
        )
        raise ValueError(f"action {action} and rewrite do not fit together; {fix}")
    for one in rule.edits:
        _check_edit(rule, one)
    if action in {Action.TAG, Action.REWRITE}:
        recipe_of(rule)
    return rule


def _check_edit(rule: Rule, one: Edit) -> None:
    part, name = one.place.part, one.place.name
    if part is Part.SEGMENT:
        names = {} if rule.path is None else Template(rule.path).names
        if name not in names:
            where = "there is no path" if rule.path is None else f"the path is {rule.path}"
            raise ValueError(
                f"rewrite of segment {name} can never apply: {where}; write {{{name}}} in path"
            )
    if part in {Part.JSON, Part.FORM} and (rule.methods is None or rule.methods <= _BODILESS):
        raise ValueError(
            f"rewrite of {part} {name} can never apply: no method of this rule has a body; "
            'name one that has, as in method = "POST"'
        )


def together(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Name those without a name, and find what can never match. Raises RowError."""
    if len(rules) > MAX_RULES:
        raise RowError(MAX_RULES, f"more than {MAX_RULES} rules; * and ** may say several at once")
    named = tuple(
        rule if rule.name else replace(rule, name=f"rule {number}")
        for number, rule in enumerate(rules, start=1)
    )
    seen: dict[str, int] = {}
    for number, rule in enumerate(named):
        if rule.name in seen:
            raise RowError(number, f"the name {rule.name} is taken; reports tell rules by name")
        seen[rule.name] = number
    found = shadowed(named)
    if found is not None:
        later, earlier = found
        raise RowError(
            later,
            f"{named[later].name} can never match: all it matches goes to {named[earlier].name} "
            "above it; put it first, or take it out",
        )
    return named


def _show_headers(value: tuple[tuple[str, str], ...]) -> Mapping[str, str] | None:
    return dict(value) or None


def _show_edits(value: tuple[Edit, ...]) -> list[dict[str, object]] | None:
    return [
        {
            str(one.place.part): one.place.name,
            str(one.change): True if one.change is Change.REMOVE else one.value,
        }
        for one in value
    ] or None


def _action(value: object) -> Action:
    return Action(parse.one_of(*Action)(value))


RULES: Final = Rows(
    "rules",
    make,
    {
        "action": Key("action", _action),
        "cost": Key("cost", cost, lambda value: None if value == 1.0 else value),
        "header": Key("headers", headers, _show_headers),
        "host": Key("host", host),
        "method": Key("methods", methods),
        "name": Key("name", name_of),
        "path": Key("path", path),
        "rewrite": Key("edits", edits, _show_edits),
        "source": Key("sources", sources, lambda value: value or None),
        "tag": Key("tag", tag, lambda value: value or None),
    },
    together,
)
