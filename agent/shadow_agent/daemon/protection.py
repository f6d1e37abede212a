"""What keeps the agent from doing harm, put together: filter, namespace, conntrack, rights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from shadow_agent.config import Config
from shadow_agent.daemon.capabilities import keep_what_attach_needs
from shadow_agent.daemon.isolation import fork_here
from shadow_agent.daemon.notrack import Notrack
from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.seccomp import open_sandbox


class Protection:
    """Of one run; made before anybody is forked."""

    def __init__(self, config: Config, plan: Plan) -> None:
        """With all of root's privileges still. Raises HostError."""
        self._isolation = plan.isolation
        self.sandbox = open_sandbox(config.seccomp)
        self._asked = config.seccomp != "off"
        wanted = "dry run" if config.dry_run else config.notrack
        self._notrack = Notrack(config.target, plan, wanted)
        self._kept: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What the operator should know from the start."""
        if self._asked and not self.sandbox.on:
            return [f"system calls of workers are not filtered: seccomp {self.sandbox.state}"]
        return []

    @property
    def states(self) -> dict[str, str]:
        """``isolation`` of status and summary: each mechanism as it is, or why it is not."""
        return {
            "seccomp": self.sandbox.state,
            "notrack": self._notrack.state,
            "namespace": str(self._isolation or "off (not asked for)"),
            "capabilities": ", ".join(self._kept),
        }

    @property
    def fork(self) -> Callable[[Callable[[], NoReturn]], int]:
        """How workers are forked: into the namespace, where there is one."""
        return fork_here if self._isolation is None else self._isolation.fork

    def shed(self, folders: Iterable[Path]) -> None:
        """Capabilities belong to threads: each drops its own. Raises OSError."""
        places = tuple(folders)
        if self._isolation is not None:
            self._isolation.call(keep_what_attach_needs, places)
        self._kept = keep_what_attach_needs(places)

    def close(self) -> None:
        """The namespace is the plan's, and ends with it."""
        self._notrack.close()
