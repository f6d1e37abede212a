"""``[privacy]``: what is kept of messages, for how long, and what is replaced in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shadow_agent.config import parse
from shadow_agent.config.key import Key, Section

if TYPE_CHECKING:
    from shadow_agent.policy.redact import RedactionRules

_MIB: Final = 1 << 20
_DAY_S: Final = 86_400.0
# What somebody writes by hand; each costs time for every text.
_MAX_RULES: Final = 100
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """Safe by default: nothing of a header value or a body is stored. Sizes in bytes."""

    # Store pairs that differ, redacted and encrypted.
    evidence: bool = False
    # 32 bytes, raw or in hexadecimal, outside the data directory; without it systemd's credential.
    key_file: Path | None = None
    # Of one run. Over it: evidence.lost.full.
    max_run_bytes: int = 64 * _MIB
    # Pairs per second and worker, after a burst of ten times as many. Over it: evidence.lost.rate.
    max_rate: float = 10.0
    # Of all evidence in the data directory; over it, and over the age, the oldest files go.
    keep_bytes: int = 1024 * _MIB
    keep_s: float = 30 * _DAY_S
    # Replaced beside what always is: fields of heads; fields of forms and queries, and members of
    # JSON; JSONPaths; expressions of RE2, whose first group is replaced, or all that they match.
    redact_headers: tuple[str, ...] = ()
    redact_fields: tuple[str, ...] = ()
    redact_json: tuple[str, ...] = ()
    redact_regex: tuple[str, ...] = ()

    def rules(self) -> RedactionRules:
        """For a redactor."""
        # here, as below: the libraries cost commands that redact nothing 60 ms
        from shadow_agent.policy.jsonpath import Path as JsonPath  # noqa: PLC0415
        from shadow_agent.policy.linear import compile_bytes  # noqa: PLC0415
        from shadow_agent.policy.redact import RedactionRules  # noqa: PLC0415
        from shadow_agent.policy.redact_text import Pattern  # noqa: PLC0415

        return RedactionRules(
            headers=frozenset(name.lower() for name in self.redact_headers),
            fields=frozenset(name.lower() for name in self.redact_fields),
            paths=tuple(JsonPath(path) for path in self.redact_json),
            patterns=tuple(Pattern("regex", compile_bytes(one)) for one in self.redact_regex),
        )


def _several(convert: Callable[[str], Any]) -> Callable[[object], tuple[Any, ...]]:
    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            # one kind of error for load to translate, whatever is wrong
            raise ValueError(f'{value!r} is not a list; write ["...", "..."]')  # noqa: TRY004
        if len(value) > _MAX_RULES:
            raise ValueError(f"{len(value)} rules are too many; give at most {_MAX_RULES}")
        return tuple(convert(parse.text(one)) for one in value)

    return read


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a header; write it as in X-Customer")
    return name


def _json_path(text: str) -> str:
    from shadow_agent.policy.jsonpath import Path as JsonPath  # noqa: PLC0415

    return JsonPath(text).text


def _regex(text: str) -> str:
    from shadow_agent.policy.linear import compile_bytes  # noqa: PLC0415

    try:
        expression = compile_bytes(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r}: {error}; write it for RE2, without look-around and back-references"
        ) from error
    if expression.fullmatch(b"") is not None:
        raise ValueError(f"{text!r} matches nothing at all too; let it match a character at least")
    return text


def _rate(value: object) -> float:
    found = parse.number(value)
    if not 0 < found <= 10_000:
        raise ValueError(f"{found:g} is out of range; give pairs per second above 0, up to 10000")
    return found


_KEYS: Final[Mapping[str, Key]] = {
    "evidence": Key("evidence", parse.flag),
    "keep-bytes": Key("keep_bytes", parse.whole(1, parse.MAX_COUNT)),
    "keep-s": Key("keep_s", parse.seconds),
    "key-file": Key("key_file", parse.folder),
    "max-rate": Key("max_rate", _rate),
    "max-run-bytes": Key("max_run_bytes", parse.whole(1, parse.MAX_COUNT)),
    "redact-fields": Key("redact_fields", _several(str)),
    "redact-headers": Key("redact_headers", _several(_header)),
    "redact-json": Key("redact_json", _several(_json_path)),
    "redact-regex": Key("redact_regex", _several(_regex)),
}
PRIVACY: Final = Section("privacy", Privacy, _KEYS)
