"""Whether connections to the shadow are kept out of conntrack, decided by trying."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import cast

import pytest

from shadow_agent.daemon import notrack as module
from shadow_agent.daemon.isolation import Isolation
from shadow_agent.daemon.notrack import Notrack
from shadow_agent.daemon.plan import Plan
from shadow_agent.kernel import conntrack
from shadow_agent.kernel.conntrack import Usage
from tests.unit.replay.bed import at

PLAN = Plan((), at(9090), ip_address("127.0.0.1"), guard=True, warnings=())


class Table:
    """Made and closed."""

    made: list[object]

    def __init__(self, target: str, what: object) -> None:
        """As NotrackTable."""
        self.made.append((target, what))

    def close(self) -> None:
        """As NotrackTable's."""
        self.made.append("closed")


@pytest.mark.parametrize(
    ("usage", "troubles", "state", "made"),
    [
        (None, [], "off (conntrack is not loaded)", 0),
        (Usage(5, 9), ["refused"], "off (the shadow does not answer, so it could not be tried)", 0),
        (Usage(0, 9), [None], "off (nothing is tracked here)", 0),
        (Usage(5, 9), [None, None], "on", 1),
        (Usage(5, 9), [None, "time"], "off (this host's firewall or NAT wants to track them)", 2),
    ],
)
def test_what_is_decided(
    monkeypatch: pytest.MonkeyPatch,
    usage: Usage | None,
    troubles: list[str | None],
    state: str,
    made: int,
) -> None:
    """By conntrack's state, and by a connection before and after."""
    answers = iter(troubles)
    monkeypatch.setattr(conntrack, "usage", lambda: usage)
    monkeypatch.setattr(module, "trouble_with", lambda _: next(answers))
    monkeypatch.setattr(module, "NotrackTable", Table)
    Table.made = []
    found = Notrack("web", PLAN)
    assert (found.state, len(Table.made)) == (state, made)
    found.close()
    assert Table.made[1:] == (["closed"] if made else [])


def test_not_asked_for() -> None:
    """Then nothing is tried."""
    assert Notrack("web", PLAN, "off").state == "off (not asked for)"
    assert Notrack("web", PLAN, "dry run").state == "off (dry run)"


def test_not_needed() -> None:
    """What leaves from a namespace of its own is not in this host's table."""
    apart = replace(PLAN, isolation=cast(Isolation, SimpleNamespace()))
    assert Notrack("web", apart).state == "not needed (a namespace of its own)"


def test_no_nftables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said with the kernel's words."""

    def refuse(*_: object) -> None:
        raise OSError(93, "nftables: Protocol not supported")

    monkeypatch.setattr(conntrack, "usage", lambda: Usage(5, 9))
    monkeypatch.setattr(module, "trouble_with", lambda _: None)
    monkeypatch.setattr(module, "NotrackTable", refuse)
    assert Notrack("web", PLAN).state == "off (nftables: Protocol not supported)"
