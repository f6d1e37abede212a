"""The table that keeps connections to the shadow out of conntrack, in namespaces of its own."""

from __future__ import annotations

import re
import subprocess
from contextlib import closing
from ipaddress import ip_address

import pytest

from shadow_agent.kernel.nftables import NotrackTable, Untracked, remove_stale
from tests.unit.isolated import isolated, needs_root

pytestmark = needs_root

V4 = Untracked(ip_address("10.0.0.9"), 8080, "eth1", local=False)
V6 = Untracked(ip_address("fd00::9"), 80, "eth1", local=False)


def ruleset() -> str:
    """As nft shows it, in the namespace of the calling thread."""
    return subprocess.run(
        ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("what", "rules"),
    [
        (
            V4,
            [
                'oifname "eth1" ip daddr 10.0.0.9 tcp dport 8080 notrack',
                'iifname "eth1" ip saddr 10.0.0.9 tcp sport 8080 notrack',
            ],
        ),
        (
            V6,
            [
                'oifname "eth1" ip6 daddr fd00::9 tcp dport 80 notrack',
                'iifname "eth1" ip6 saddr fd00::9 tcp sport 80 notrack',
            ],
        ),
    ],
    ids=["ipv4", "ipv6"],
)
def test_what_it_says(what: Untracked, rules: list[str]) -> None:
    """These packets and no others, before conntrack looks; gone when it is closed."""

    def work() -> tuple[bool, str, str]:
        table = NotrackTable("web", what)
        found = ruleset()
        table.close()
        return table.owned, found, ruleset()

    owned, found, after = isolated(work)
    assert owned
    assert [line.strip() for line in found.splitlines() if "notrack" in line] == rules
    assert found.count("priority raw; policy accept;") == 2
    assert "table ip" in found
    assert "shadow-agent-web" in found
    assert after == ""


def test_a_shadow_on_this_host() -> None:
    """Both ends pass both hooks: four rules."""
    local = Untracked(ip_address("127.0.0.1"), 8080, "lo", local=True)

    def work() -> str:
        with closing(NotrackTable("web", local)):
            return ruleset()

    assert isolated(work).count("notrack") == 4


def test_two_targets_do_not_meet() -> None:
    """One name, one table: the second of a name is refused, another name is not."""

    def work() -> list[str]:
        with closing(NotrackTable("web", V4)), closing(NotrackTable("api", V4)):
            with pytest.raises(OSError, match="nftables: ") as refused:
                NotrackTable("web", V4)
            return [type(refused.value).__name__, *re.findall("shadow-agent-[a-z]+", ruleset())]

    error, *tables = isolated(work)
    assert error in {"FileExistsError", "PermissionError"}
    assert sorted(tables) == ["shadow-agent-api", "shadow-agent-web"]


def test_stale_ones() -> None:
    """Without an owner they are removed, of one target or of all; nobody else's are."""

    def work() -> list[object]:
        living = NotrackTable("living", V4)
        for name in ("web", "api", "more"):
            NotrackTable(name, V4, owned=False)._socket.close()
        subprocess.run(["nft", "add", "table", "ip", "filter"], check=True)
        found: list[object] = [remove_stale("web"), sorted(remove_stale()), remove_stale()]
        left = ruleset()
        living.close()
        return [*found, "shadow-agent-living" in left, "table ip filter" in left]

    assert isolated(work) == [
        ["web: nftables table shadow-agent-web"],
        ["api: nftables table shadow-agent-api", "more: nftables table shadow-agent-more"],
        [],
        True,
        True,
    ]


def test_one_without_an_owner_is_removed_by_closing() -> None:
    """As before Linux 5.12."""

    def work() -> str:
        NotrackTable("web", V4, owned=False).close()
        return ruleset()

    assert isolated(work) == ""
