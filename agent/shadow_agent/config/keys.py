"""Every key of the configuration: its name, the field it fills, and what it may hold.

A key of the file and the flag of that name are one thing. ``-`` and ``_`` are the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Final

from shadow_agent.config import isolation, parse
from shadow_agent.config.budget import BREAKER, BUDGET
from shadow_agent.config.compare import COMPARE, TOLERATE
from shadow_agent.config.egress import egress
from shadow_agent.config.gate import GATE
from shadow_agent.config.governor import GOVERNOR
from shadow_agent.config.identity import ALIAS, IDENTITY, NAMESPACE
from shadow_agent.config.key import Key, Rows, Section
from shadow_agent.config.model import Limits
from shadow_agent.config.privacy import PRIVACY
from shadow_agent.config.rules import RULES
from shadow_agent.config.values import endpoint, unsaid
from shadow_agent.errors import UsageError

# Characters of a reason that are shown.
_LONGEST: Final = 1200
_HALF: Final = _LONGEST // 2


def _endpoint(value: tuple[str, int] | None) -> str | None:
    return None if value is None else endpoint(*value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


KEYS: Final[Mapping[str, Key]] = {
    "allow-same-interface": Key("allow_same_interface", parse.flag),
    "data-dir": Key("data_dir", parse.folder),
    "debug": Key("debug", parse.flag),
    "dry-run": Key("dry_run", parse.flag),
    "duration": Key("duration_s", parse.seconds),
    "guard": Key("guard", parse.listen_address, _endpoint),
    "guard-calls": Key("guard_calls", parse.folder),
    "guard-key": Key("guard_key", parse.folder),
    "iface": Key("interfaces", parse.interfaces),
    "isolate": Key("isolate", parse.flag),
    "isolate-address": Key("isolate_address", isolation.own_address),
    "isolate-gateway": Key("isolate_gateway", isolation.gateway),
    "json": Key("json", parse.flag),
    "loader": Key("loader", parse.one_of("auto", "libbpf", "bcc")),
    "mechanism": Key("mechanism", parse.one_of("auto", "tcx", "clsact")),
    "methods": Key("methods", parse.methods),
    "metrics": Key("metrics", parse.listen_address),
    "notrack": Key("notrack", parse.one_of("auto", "off")),
    "observe-egress": Key("observe_egress", egress, _text),
    "port": Key("ports", parse.ports),
    "production-build": Key("production_build", parse.build),
    "requests": Key("requests", parse.whole(1, parse.MAX_COUNT)),
    "require-shadow": Key("require_shadow", parse.flag),
    "runtime-dir": Key("runtime_dir", parse.folder),
    "sample": Key("sample", parse.fraction),
    "seccomp": Key("seccomp", parse.one_of("auto", "require", "off")),
    "session": Key("session", parse.session),
    "shadow": Key("shadow", parse.shadow_url),
    "shadow-build": Key("shadow_build", parse.build),
    "shadow-iface": Key("shadow_interface", parse.interface),
    "speed": Key("speed", parse.speed),
    "target": Key("target", parse.target),
    "unguarded": Key("unguarded", parse.flag),
    "user": Key("user", parse.text),
    "workers": Key("workers", parse.whole(1, parse.MAX_WORKERS)),
    "write": Key("write", parse.folder),
    "write-limit": Key("write_limit", parse.whole(1, parse.MAX_COUNT)),
}


def _limit(name: str) -> Callable[[object], Any]:
    if name == "ring_bytes":
        return parse.ring_size
    return parse.seconds if name.endswith("_s") else parse.whole(1, parse.MAX_COUNT)


LIMITS: Final[Mapping[str, Key]] = {
    one.name.replace("_", "-"): Key(one.name, _limit(one.name)) for one in fields(Limits)
}


SECTIONS: Final[Mapping[str, Section]] = {
    "breaker": BREAKER,
    "budget": BUDGET,
    "compare": COMPARE,
    "gate": GATE,
    "identity": IDENTITY,
    "governor": GOVERNOR,
    "limits": Section("limits", Limits, LIMITS),
    "privacy": PRIVACY,
}
ROWS: Final[Mapping[str, Rows]] = {
    "alias": ALIAS,
    "namespace": NAMESPACE,
    "rule": RULES,
    "tolerate": TOLERATE,
}


def find(keys: Mapping[str, Key], written: str, where: object) -> Key:
    """The key that was written, in ``keys``. Raises UsageError that names the nearest one."""
    key = keys.get(written.replace("_", "-"))
    if key is not None:
        return key
    near = get_close_matches(written.replace("_", "-"), keys, n=1)
    fix = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(sorted(keys))}"
    raise UsageError(f"{where}: unknown key {written}", fix)


def convert(key: Key, value: object, where: object) -> Any:
    """The value as its field holds it. Raises UsageError with ``where`` in front of the reason."""
    try:
        return key.convert(value)
    except RecursionError as error:
        raise UsageError(f"{where}: nested too deep", "write what it takes") from error
    except ValueError as error:
        raise UsageError(f"{where}: {shortened(unsaid(str(error)))}") from error


def shortened(reason: str) -> str:
    """A reason that fits into a line, whatever the value in it; the fix is at its end."""
    return reason if len(reason) <= _LONGEST else f"{reason[:_HALF]} … {reason[-_HALF:]}"
