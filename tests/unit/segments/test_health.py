"""Requests of probes."""

from __future__ import annotations

import pytest

from shadow_agent.segments.health import HealthChecks
from tests.unit.segments.asked import asked


@pytest.mark.parametrize(
    ("target", "fields", "is_one"),
    [
        ("/healthz", [], True),
        ("/healthz?verbose", [], True),
        ("/health/of/people", [], False),
        ("/", ["User-Agent: kube-probe/1.29"], True),
        ("/", ["user-agent:  elb-healthchecker/2.0"], True),
        ("/", ["User-Agent: GoogleHC/1.0"], True),
        ("/", ["User-Agent: Mozilla/5.0 kube-probe/1.29"], False),
        ("/", ["X-User-Agent: kube-probe/1.29"], False),
        ("/", ["User-Agent:"], False),
        ("/", [], False),
    ],
)
def test_by_path_or_agent(target: str, fields: list[str], is_one: bool) -> None:
    """As its maker calls it, whatever the case."""
    request = asked(target, *fields).request
    assert HealthChecks().is_one(request.target, request.raw) is is_one


def test_own_paths_replace_those_known() -> None:
    """What is configured is all there is."""
    checks = HealthChecks(["/up"], [])
    assert checks.is_one(b"/up", b"")
    assert not checks.is_one(b"/healthz", b"GET /healthz HTTP/1.1\r\nUser-Agent: kube-probe/1\r\n")
