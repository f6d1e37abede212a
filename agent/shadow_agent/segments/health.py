"""Health checks: requests of probes and load balancers. They are counted, and judge nothing.

A client may claim to be one. That keeps its own requests out of the gates, and their share is
reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# As their makers document them; a User-Agent that begins so.
AGENTS: Final = (
    "Amazon-Route53-Health-Check-Service",
    "Blackbox Exporter/",
    "Consul Health Check",
    "ELB-HealthChecker/",
    "Envoy/HC",
    "GoogleHC/",
    "GoogleStackdriverMonitoring-UptimeChecks",
    "HealthChecker/",
    "kube-probe/",
)
PATHS: Final = (
    *("/health", "/healthz", "/live", "/livez", "/ping", "/ready", "/readyz"),
    *("/_health", "/actuator/health", "/health/live", "/health/ready"),
)
_READ: Final = 96  # bytes of the field, its name included
_CACHED: Final = 1024
_FIELD: Final = b"\nuser-agent:"


class HealthChecks:
    """By path or by who asks."""

    __slots__ = ("_agents", "_known", "_paths")

    def __init__(self, paths: Iterable[str] = PATHS, agents: Iterable[str] = AGENTS) -> None:
        """Paths as they are sent, agents by how they begin."""
        self._paths = frozenset(path.encode() for path in paths)
        self._agents = tuple(agent.lower().encode() for agent in agents)
        self._known: dict[bytes, bool] = {}  # by how a User-Agent begins

    def is_one(self, target: bytes, head: bytes) -> bool:
        """Of a request's target and its whole head, as captured."""
        if target in self._paths or target.partition(b"?")[0] in self._paths:
            return True
        at = head.find(b"\nUser-Agent:")
        if at < 0:
            at = head.lower().find(_FIELD)
            if at < 0:
                return False
        begin = head[at : at + _READ]
        known = self._known.get(begin)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            agent = begin[len(_FIELD) :].lstrip(b" \t").lower()
            known = self._known[begin] = agent.startswith(self._agents)
        return known
