"""What an operator may tell a running agent over its control socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shadow_agent.daemon.account import Account
from shadow_agent.daemon.dial import Dial, Who
from shadow_agent.daemon.rundir import RunFolder


class Operator:
    """Does as told and says so; ``detach`` is the supervisor's."""

    def __init__(
        self,
        account: Account,
        dial: Dial,
        folder: RunFolder,
        note: Callable[[str | None], None],
        reload: Callable[[], dict[str, Any]],
    ) -> None:
        """``note`` gets what went wrong beside the command itself, or None.

        ``reload`` reads the configuration again and returns the answer.
        """
        self._reload = reload
        self._account = account
        self._dial = dial
        self._folder = folder
        self._note = note

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to it; ``ok`` says whether it was understood."""
        match command:
            case {"command": "status"}:
                return {"ok": True, **self._account.status(), "stopped": self._dial.stopped}
            case {"command": "sample", "fraction": float() | int() as fraction} if (
                not isinstance(fraction, bool) and 0 <= fraction <= 1
            ):
                self._dial.share(Who.OPERATOR, float(fraction), "ctl sample")
                return {"ok": True, "sample": float(fraction), "effective": self._dial.sample}
            case {"command": "pause"}:
                self._dial.stop(Who.OPERATOR, "ctl pause")
                return {"ok": True, "paused": True}
            case {"command": "resume"}:
                self._dial.go(Who.OPERATOR, "ctl resume")
                paused = self._account.state().paused
                return {"ok": True, "paused": paused, "stopped": self._dial.stopped}
            case {"command": "reload"}:
                return self._reload()
            case {"command": "epoch"}:
                account = self._account
                account.next_epoch(command.get("build"), command.get("shadow_build"))
                self._note(self._folder.write_run(account.run))
                return {"ok": True, "epoch": account.run.epoch, "builds": account.run.builds}
        return {"ok": False, "error": "no such command, or its arguments are not right"}
