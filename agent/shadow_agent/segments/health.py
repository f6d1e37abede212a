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
_FIELD: Final = b"\nuser-agent:"


class HealthChecks:
    """By path or by who asks."""

    __slots__ = ("_agents", "_paths")

    def __init__(self, paths: Iterable[str] = PATHS, agents: Iterable[str] = AGENTS) -> None:
        """Paths as they are sent, agents by how they begin."""
        self._paths = frozenset(path.encode() for path in paths)
        self._agents = tuple(agent.lower().encode() for agent in agents)

    def is_one(self, target: bytes, head: bytes) -> bool:
        """Of a request's target and its whole head, as captured."""
        if target.partition(b"?")[0] in self._paths:
            return True
        at = head.find(b"\nUser-Agent:")
        if at < 0:
            at = head.lower().find(_FIELD)
            if at < 0:
                return False
        at += len(_FIELD)
        return head[at : at + 80].lstrip(b" \t").lower().startswith(self._agents)
