"""What an operator may tell a running agent over its control socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shadow_agent.daemon.account import Account
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.kernel.control import ControlPage


class Operator:
    """Does as told and says so; ``detach`` is the supervisor's."""

    def __init__(
        self,
        account: Account,
        control: ControlPage,
        folder: RunFolder,
        note: Callable[[str | None], None],
    ) -> None:
        """``note`` gets what went wrong beside the command itself, or None."""
        self._account = account
        self._control = control
        self._folder = folder
        self._note = note

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to it; ``ok`` says whether it was understood."""
        match command:
            case {"command": "status"}:
                return {"ok": True, **self._account.status()}
            case {"command": "sample", "fraction": float() | int() as fraction} if (
                not isinstance(fraction, bool) and 0 <= fraction <= 1
            ):
                self._control.set_sample(float(fraction))
                return {"ok": True, "sample": float(fraction)}
            case {"command": "pause"}:
                self._control.set_paused(True)
                return {"ok": True, "paused": True}
            case {"command": "resume"}:
                self._control.set_paused(False)
                return {"ok": True, "paused": self._account.state().paused}
            case {"command": "epoch"}:
                account = self._account
                account.next_epoch(command.get("build"), command.get("shadow_build"))
                self._note(self._folder.write_run(account.run))
                return {"ok": True, "epoch": account.run.epoch, "builds": account.run.builds}
        return {"ok": False, "error": "no such command, or its arguments are not right"}
