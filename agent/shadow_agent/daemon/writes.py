"""May writes go out: while the guard of the shadow host vouches, or because the operator said so.

In doubt they do not: each is refused by name, and reads go on.
"""

from __future__ import annotations

from collections.abc import Callable

from shadow_agent.config import Config
from shadow_agent.policy.rule import SAFE_METHODS, Action


def opened_by(config: Config) -> str | None:
    """What in the configuration would let writes out: the first rule that does, or --methods."""
    for rule in config.rules:
        if rule.action is not Action.DROP and rule.methods and not rule.methods <= SAFE_METHODS:
            return f"rule {rule.name!r} ({', '.join(sorted(rule.methods - SAFE_METHODS))})"
    if config.methods is None or not config.methods <= SAFE_METHODS:
        return "--methods"
    return None


def warnings_of(config: Config, *, guarded: bool = False) -> list[str]:
    """What the operator has to know of writes before anything is sent.

    ``guarded``: a guard vouches for the shadow.
    """
    opens = opened_by(config)
    if opens is None or config.dry_run or (guarded and not config.unguarded):
        return []
    if config.unguarded:
        text = (
            f"UNGUARDED: {opens} opens writes, and nothing keeps what the shadow build does with "
            "them inside"
        )
    else:
        text = (
            f"{opens} opens writes, and no guard has answered: they are refused "
            "(replay.refused.unguarded); run a guard on the shadow host and name it with "
            "--guard HOST:PORT, or say --unguarded"
        )
    return [text]


class Writes:
    """A watch: tells the workers when the guard's word changes."""

    def __init__(
        self,
        config: Config,
        vouched: Callable[[float], bool] | None,
        tell: Callable[[bool], None],
        say: Callable[[str], None],
    ) -> None:
        """``vouched``: whether a guard vouches at a time (CLOCK_MONOTONIC, s); None: there is none.

        ``tell`` gets whether writes are open whenever that changes. They begin as --unguarded
        says, and stay so with it.
        """
        self.open = config.unguarded
        self._vouched = None if config.unguarded else vouched
        self._tell = tell
        self._say = say

    def tick(self, now: float) -> None:
        """Four times a second; ``now`` is CLOCK_MONOTONIC, seconds."""
        if self._vouched is None:
            return
        allowed = self._vouched(now)
        if allowed != self.open:
            self.open = allowed
            self._tell(allowed)
            self._say(
                "the guard of the shadow vouches: writes may go out"
                if allowed
                else "the guard of the shadow is silent: writes are refused"
            )
