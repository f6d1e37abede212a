"""What a comparison looks at, and what it tolerates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from shadow_agent.compare.difference import Part
from shadow_agent.compare.selectors import Tolerance


class How(StrEnum):
    """What of a header is compared."""

    VALUE = "value"
    PRESENCE = "presence"  # that it is there: its value names a build or a moment
    TOKENS = "tokens"  # a list in any order and case
    MEDIA_TYPE = "media type"  # case, spaces and a boundary aside
    COOKIES = "cookies"  # names and attributes: values are sessions
    SCHEME = "scheme"  # what is asked for: the rest is a nonce


# What clients act on. Dates, lengths, servers' names and tracing are not among them.
DECLARED: Final = MappingProxyType({
    "access-control-allow-credentials": How.VALUE,
    "access-control-allow-headers": How.TOKENS,
    "access-control-allow-methods": How.TOKENS,
    "access-control-allow-origin": How.VALUE,
    "allow": How.TOKENS,
    "cache-control": How.TOKENS,
    "content-disposition": How.VALUE,
    "content-encoding": How.TOKENS,
    "content-language": How.TOKENS,
    "content-range": How.VALUE,
    "content-security-policy": How.VALUE,
    "content-type": How.MEDIA_TYPE,
    "etag": How.PRESENCE,
    "last-modified": How.PRESENCE,
    "link": How.VALUE,
    "location": How.VALUE,
    "retry-after": How.PRESENCE,
    "set-cookie": How.COOKIES,
    "strict-transport-security": How.VALUE,
    "vary": How.TOKENS,
    "www-authenticate": How.SCHEME,
})  # fmt: skip
# Bytes of a body, packed or unpacked, that are looked into. Over it: as bytes, with a note.
MAX_BODY: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """Immutable; made once per run."""

    headers: tuple[str, ...] = tuple(DECLARED)  # lower case
    volatile: bool = True  # recognise volatile shapes; with a baseline the old build says more
    max_body: int = MAX_BODY
    rules: tuple[Tolerance, ...] = ()

    def on(self, day: date) -> Options:
        """Without what has expired on that day."""
        if all(rule.holds(day) for rule in self.rules):
            return self
        return replace(self, rules=tuple(rule for rule in self.rules if rule.holds(day)))

    def named(self, part: Part, name: str, production: str, shadow: str) -> str:
        """The label of the rule that tolerates this difference of a field; "" if none does."""
        for rule in self.rules:
            mine = rule.json is None and rule.part is part and rule.name == name
            if mine and rule.takes(production, shadow):
                return rule.label
        return ""
