"""What will be attached where, settled on real interfaces and routes."""

from __future__ import annotations

import socket
from ipaddress import ip_interface
from typing import Any

import pytest

from shadow_agent.config import Config, ShadowUrl
from shadow_agent.daemon.plan import Plan, make_plan
from shadow_agent.errors import HostError, ShadowUnreachable, UsageError
from shadow_agent.kernel.layout import Role
from tests.unit.daemon.conftest import MakeConfig
from tests.unit.isolated import ip, isolated, needs_root, two_interfaces

pytestmark = needs_root


@pytest.fixture
def config(make_config: MakeConfig) -> Any:
    """Clients at ``front``, the shadow behind ``back``."""

    def make(host: str = "10.9.0.9", port: int = 9090, **changed: Any) -> Config:
        return make_config(**{"interfaces": ("front",), "shadow": ShadowUrl(host, port)} | changed)

    return make


def planned(config: Config) -> Plan:
    """In a namespace with two interfaces."""

    def work() -> Plan:
        two_interfaces()
        # nobody answers there, and the kernel says so at once
        ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev back")
        ip("link set far down")
        return make_plan(config)

    return isolated(work)


def test_two_ways(config: Any) -> None:
    """Production at one interface, the shadow by the other, with its packets guarded."""
    plan = planned(config(shadow_interface="back"))
    assert [(place.interface.name, place.role) for place in plan.places] == [
        ("front", Role.PRODUCTION),
        ("back", Role.SHADOW),
    ]
    assert plan.endpoint.interface == "back"
    assert plan.endpoint.key == bytes(10) + b"\xff\xff\x0a\x09\x00\x09"
    assert (plan.endpoint.family, plan.endpoint.port) == (socket.AF_INET, 9090)
    assert plan.guard
    assert "nobody listens on port 8080" in plan.warnings[0]
    assert "does not answer yet" in plan.warnings[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.9.1.2", "0.0.0.0"])
def test_the_service_is_no_shadow_of_itself(config: Any, host: str) -> None:
    """By none of its addresses; another port of this host may be."""
    with pytest.raises(UsageError, match="tapped service itself"):
        planned(config(host, 8080))


def test_the_shadow_on_the_tapped_interface(config: Any) -> None:
    """Only when the operator says so."""
    with pytest.raises(UsageError, match="crosses the tapped interface front"):
        planned(config("10.9.1.9"))


def test_a_shadow_on_this_host(config: Any) -> None:
    """By lo, and then no packet of it is a leak."""

    def work() -> Plan:
        two_interfaces()
        with socket.create_server(("127.0.0.1", 0)) as server:
            return make_plan(config("127.0.0.1", server.getsockname()[1]))

    plan = isolated(work)
    assert plan.endpoint.interface == "lo"
    assert not plan.guard
    assert len(plan.warnings) == 1, "the shadow answers"


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"interfaces": ("nope",)}, HostError, "--iface nope: no such interface"),
        ({"shadow_interface": "nope"}, HostError, "--shadow-iface nope: no such interface"),
        ({"shadow": ShadowUrl("203.0.113.1", 1)}, HostError, "no route to the shadow 203.0.113.1"),
        ({"shadow": ShadowUrl("no.such.name.invalid", 1)}, UsageError, "does not resolve"),
        ({"require_shadow": True}, ShadowUnreachable, "shadow http://10.9.0.9:9090 by back"),
    ],
)
def test_what_cannot_be_done(
    config: Any, changed: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Said before anything is attached."""
    with pytest.raises(error, match=text):
        planned(config(**changed))


def test_isolated(config: Any) -> None:
    """The shadow's place is a macvlan inside; the host itself may have no way there."""

    def work() -> tuple[Plan, str]:
        two_interfaces()
        ip("addr flush dev back")
        plan = make_plan(
            config(
                "10.9.0.9",
                shadow_interface="back",
                isolate=True,
                isolate_address=ip_interface("10.9.0.77/24"),
            )
        )
        assert plan.isolation is not None
        shown = str(plan.isolation)
        plan.isolation.close()
        return plan, shown

    plan, shown = isolated(work)
    production, shadow = plan.places
    assert (production.interface.name, production.room) == ("front", None)
    assert (shadow.interface.name, shadow.interface.kind) == ("back", "macvlan")
    assert shadow.room is plan.isolation
    assert plan.endpoint.interface == "back"
    assert plan.guard
    assert f"does not answer yet from {shown}" in plan.warnings[1]
    assert "clouds often do not" in plan.warnings[1]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"shadow_interface": "front"}, "would be the tapped interface's, front"),
        ({"shadow": ShadowUrl("10.9.0.2", 9090)}, "is on this host, which a macvlan does not"),
        ({"shadow": ShadowUrl("10.8.0.9", 9090)}, "no route here says by which interface"),
        ({"isolate_address": ip_interface("10.9.0.2/24")}, "is this host's already"),
        ({"isolate_address": ip_interface("10.9.0.9/24")}, "is the shadow's own"),
        ({"isolate_address": ip_interface("10.9.5.7/24")}, "10.9.0.9 is not in 10.9.5.0/24"),
        ({"isolate_address": ip_interface("fd09::7/64")}, "10.9.0.9 is not in fd09::/64"),
    ],
)
def test_what_cannot_be_isolated(config: Any, changed: dict[str, Any], text: str) -> None:
    """Each with its reason, before anything is made."""
    usual = {"isolate": True, "isolate_address": ip_interface("10.9.0.77/24")}
    with pytest.raises(UsageError, match=text):
        planned(config(**usual | changed))
