"""Connections to the shadow fill no conntrack table of production's host, where that works."""

from __future__ import annotations

from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.shadow import trouble_with
from shadow_agent.kernel import conntrack
from shadow_agent.kernel.nftables import NotrackTable, Untracked


class Notrack:
    """Decided once, at start, by trying; ``state`` is what status says of it."""

    def __init__(self, target: str, plan: Plan, wanted: str = "auto") -> None:
        """Before anything is replayed. Takes two seconds at most when something is in the way.

        ``wanted``: auto, off, or another reason for off.
        """
        self._table: NotrackTable | None = None
        why = "not asked for" if wanted == "off" else wanted
        self.state = self._decide(target, plan) if wanted == "auto" else f"off ({why})"

    def close(self) -> None:
        """Track them again, if anything is tracked."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def _decide(self, target: str, plan: Plan) -> str:
        if plan.isolation is not None:
            return "not needed (a namespace of its own)"
        if conntrack.usage() is None:
            return "off (conntrack is not loaded)"
        if trouble_with(plan.endpoint) is not None:
            return "off (the shadow does not answer, so it could not be tried)"
        # that connection would be in it
        found = conntrack.usage()
        if found is None or not found.count:
            return "off (nothing is tracked here)"
        what = Untracked(
            plan.address, plan.endpoint.port, plan.endpoint.interface or "", local=not plan.guard
        )
        try:
            self._table = NotrackTable(target, what)
        except OSError as exc:
            return f"off ({exc.strerror or exc})"
        # NAT needs the table, and so does a firewall that lets in what belongs to a known one
        if trouble_with(plan.endpoint) is not None:
            self.close()
            return "off (this host's firewall or NAT wants to track them)"
        return "on"
