"""A changed configuration for a running target: taken over whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shadow_agent.config import Config, as_dict
from shadow_agent.config.budget import BREAKER, BUDGET
from shadow_agent.config.governor import GOVERNOR
from shadow_agent.errors import OperatorError

# What can change under way, as ``config check --json`` calls it; the rest needs a restart.
LIVE: Final = frozenset(
    {
        "duration",
        "methods",
        "requests",
        "rule",
        "sample",
        *(f"breaker.{key}" for key in BREAKER.keys),
        *(f"budget.{key}" for key in BUDGET.keys),
        # the agent's own budget is the kernel's, made with the processes
        *(f"governor.{key}" for key in GOVERNOR.keys if key not in {"cpu", "memory"}),
        "limits.connect-timeout-s",
        "limits.drain-s",
        "limits.first-byte-timeout-s",
        "limits.idle-close-s",
        "limits.max-backlog-bytes",
        "limits.max-queue",
        "limits.max-queue-age-s",
        "limits.whole-timeout-s",
    }
)
# How this attachment talks to its operator: what a file says of it now is for the next one.
_OF_THE_START: Final = frozenset({"debug", "json"})


def changed(old: Config, new: Config) -> list[str]:
    """The keys that differ, sorted; ``section.key`` for those of a section."""
    before, after = _flat(old), _flat(new)
    keys = before.keys() | after.keys()
    return sorted(key for key in keys if before.get(key) != after.get(key))


class Reload:
    """Reads the configuration again, with the flags of the start over it."""

    def __init__(
        self, config: Config, read: Callable[[], Config], apply: Callable[[Config], None]
    ) -> None:
        """``read`` raises OperatorError; ``apply`` gets one in which only LIVE keys differ."""
        self._config = config
        self._read = read
        self._apply = apply

    def run(self) -> dict[str, Any]:
        """The answer to the operator: what was applied, or why nothing was."""
        try:
            new = self._read()
        except OperatorError as error:
            return {"ok": False, "error": str(error)}
        keys = [key for key in changed(self._config, new) if key not in _OF_THE_START]
        fixed = [key for key in keys if key not in LIVE]
        if fixed:
            text = f"nothing was applied: {', '.join(fixed)} cannot change under way; "
            return {"ok": False, "restart": fixed, "error": f"{text}detach and attach again"}
        if keys:
            self._apply(new)
            self._config = new
        return {"ok": True, "applied": keys}


def _flat(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {"gate.provider": config.gate.provider}  # shown without its password
    for name, value in as_dict(config).items():
        if isinstance(value, dict):
            found = {f"{name}.{key}": inner for key, inner in value.items()} | found
        else:
            found[name] = value
    return found
