"""Side effects of a run: who watches production's calls and the shadow's, and what they saw."""

from __future__ import annotations

import pwd
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from shadow_agent.calls.effects import Effects, side_effects
from shadow_agent.calls.tried import Tried
from shadow_agent.config import Config, endpoint
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.egress import EgressWatch
from shadow_agent.daemon.hello import read_key
from shadow_agent.daemon.isolation import fork_here
from shadow_agent.daemon.seccomp import NO_SANDBOX, Sandbox
from shadow_agent.daemon.vouch import Vouch, calls_of_file
from shadow_agent.errors import OperatorError
from shadow_agent.replay.sockets import Endpoint


class SideEffects:
    """Composed of what the configuration asks for; nothing of it is needed to mirror."""

    def __init__(
        self, config: Config, shadow: Endpoint, user: pwd.struct_passwd, stack: ExitStack,
        sandbox: Sandbox = NO_SANDBOX, fork: Callable[[Callable[[], NoReturn]], int] = fork_here,
    ) -> None:  # fmt: skip
        """``shadow``: where our own replay goes. Raises OperatorError: a guard must vouch."""
        self._user = user
        self._file: Path | None = config.guard_calls
        key = secrets.token_bytes(32) if config.guard_key is None else read_key(config.guard_key)
        self.vouch: Vouch | None = None
        if config.guard is not None and not config.dry_run:  # which sends nothing to its host
            # a guard at the shadow's own address may have no other way to it than ours
            there = config.guard[0] in {config.shadow.host, shadow.address[0]}
            where = fork if there else fork_here
            self.vouch = Vouch(config.guard, key, config.shadow.port, user, sandbox, where)
            stack.callback(self.vouch.close)
            self._where = endpoint(*config.guard)
        self._egress: EgressWatch | None = None
        if config.observe_egress is not None:
            self._egress = EgressWatch(
                config.observe_egress, key, (shadow.key, shadow.port), user, sandbox
            )
            stack.callback(self._egress.close)

    def watches(self, dial: Dial, say: Callable[[str], None]) -> list[Vouch]:
        """What the supervisor ticks: a guard that falls silent stops mirroring."""
        if self.vouch is None:
            return []
        self.vouch.obey(dial, say)
        return [self.vouch]

    def status(self) -> dict[str, Any]:
        """What ``status`` says meanwhile: calls are compared at the end."""
        return {"guard": self._guard(), "side_effects": None}

    def finish(self) -> dict[str, Any]:
        """The summary's ``guard`` and ``side_effects``; null where nobody watched. Once."""
        if self.vouch is None and self._egress is None and self._file is None:
            return {"guard": None, "side_effects": None}
        guard = self._guard()  # as it was when the run ended: what follows takes its time
        notes: list[str] = []
        production: Effects | None = None
        losses: dict[str, Any] | None = None
        if self._egress is not None:
            production, losses = self._egress.finish()
            if production is None:
                notes.append("production's calls are not known: the process that read them died")
        shadow = self._shadow(notes)
        tried, whole = (None, True) if shadow is None else (shadow.effects, not shadow.notes)
        found = {
            **side_effects(production, tried, whole=whole),
            "production_losses": losses,
            "notes": notes,
        }
        return {"guard": guard, "side_effects": found}

    def _shadow(self, notes: list[str]) -> Tried | None:
        if self._file is None and self.vouch is None:
            return None
        try:
            found = self._tried()
        except OperatorError as error:
            notes.append(str(error))
            return None
        if found is None:
            notes.append("the shadow's calls are not known: the guard could not be asked")
            return None
        notes += found.notes
        return found

    def _tried(self) -> Tried | None:
        if self._file is not None:
            return calls_of_file(self._file, self._user)
        return None if self.vouch is None else self.vouch.calls()

    def _guard(self) -> dict[str, Any] | None:
        if self.vouch is None:
            return None
        trouble = self.vouch.trouble(time.monotonic())
        guarded = self.vouch.guarded if trouble is None else None  # what it said then is not now
        return {
            "where": self._where,
            "vouched": trouble is None,
            "trouble": trouble,
            "said": None if guarded is None else asdict(guarded),
        }
