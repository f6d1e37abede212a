"""Rules, on real sockets: what they drop, open and leave alone, and what needs a guard."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.net.agent import COMMAND, PORT, Agent, Home, Summary, at, attach, drained
from tests.net.requests import connected
from tests.testbed import Testbed, eventually, pyserver
from tests.testbed.capture import Capture
from tests.testbed.pyserver import PyServer

RULES = """
[[rule]]
name = "admin"
action = "drop"
path = "/admin/**"

[[rule]]
name = "orders"
action = "replay"
method = "POST"
path = "/orders/{id}"

[[rule]]
name = "internal"
action = "drop"
host = "internal.*"

[[rule]]
name = "others"
action = "drop"
source = "192.0.2.0/24"

[[rule]]
name = "beta"
action = "drop"
header = { X-Plan = "beta*" }
"""
SPELLINGS = [
    "/admin",
    "/Admin/users",
    "/%61dmin/users",
    "/%2561dmin",
    "//admin/x",
    "/x/../admin",
    "/x/%2e%2e/admin/",
    "/admin;v=1/users",
    "/;x/../admin",
    "/x%2f..%2fadmin",
    "http://shop.example/admin",
]


def with_rules(bed: Testbed, *more: str, rules: str = RULES) -> Agent:
    """Attached with these rules in a file."""
    home = Home(bed)
    home.path.mkdir(exist_ok=True)
    config = home.path / "rules.toml"
    config.write_text(rules)
    return attach(bed, "--config", str(config), *more, home=home)


@pytest.fixture
def shadow(bed: Testbed) -> PyServer:
    """Production and shadow say what they heard."""
    pyserver.start(bed.service)
    return pyserver.start(bed.shadow)


def say(bed: Testbed, *asks: tuple[Any, ...]) -> None:
    """Requests of one client on one connection: method, target, fields."""
    with connected(bed.client, bed.service) as connection:
        for method, target, *fields in asks:
            body = b"b" * 500 if method in {"POST", "PUT"} else None
            connection.request(method, target, body, dict(fields))
            answer = connection.getresponse()
            assert answer.status == 200, target
            answer.read()


def heard(server: PyServer) -> list[tuple[str, str]]:
    """Methods and targets in order."""
    return [(one["method"], one["target"]) for one in server.requests()]


def by_name(summary: Summary) -> dict[str, dict[str, Any]]:
    """The summary's rules."""
    return {row["name"]: row for row in summary["rules"]}


def test_what_is_dropped_is_not_sent(bed: Testbed, shadow: PyServer) -> None:
    """By path, host and field, counted by rule; the connection goes on; no spelling evades it."""
    agent = with_rules(bed)
    say(
        bed,
        ("GET", "/a"),
        *(("GET", target) for target in SPELLINGS),
        ("GET", "/b", ("Host", "internal.example")),
        ("GET", "/c", ("X-Plan", "beta-2")),
        ("GET", "/d", ("X-Plan", "free")),
        ("GET", "/administration"),
    )
    summary = agent.stop()
    assert heard(shadow) == [("GET", "/a"), ("GET", "/d"), ("GET", "/administration")]
    assert summary["ledger"]["replay"]["refused"] == {"rule": len(SPELLINGS) + 2}
    assert drained(summary["ledger"])
    rows = by_name(summary)
    assert {name: row["matched"] for name, row in rows.items()} == {
        "admin": len(SPELLINGS), "orders": 0, "internal": 1, "others": 0, "beta": 1,
    }  # fmt: skip
    assert rows["admin"]["refused"] == {"rule": len(SPELLINGS)}
    assert summary["unguarded"] is False
    assert "opens writes, and no guard has answered" in agent.process.errors()


def test_a_write_needs_a_rule_and_a_guard_or_the_operator_s_word(
    bed: Testbed, shadow: PyServer
) -> None:
    """Without either it is refused, by name; with --unguarded it arrives, and every report says so.

    The one path that was opened, and no other.
    """
    asks = [
        ("POST", "/orders/7"),
        ("POST", "/orders/7/cancel"),
        ("PUT", "/orders/7"),
        ("POST", "/x/../orders/8"),
        ("GET", "/orders/7"),
    ]
    agent = with_rules(bed)
    say(bed, *asks)
    summary = agent.stop()
    assert heard(shadow) == [("GET", "/orders/7")]
    assert summary["ledger"]["replay"]["refused"] == {"unguarded": 1, "method": 2, "ambiguous": 1}
    assert by_name(summary)["orders"]["refused"] == {"unguarded": 1, "ambiguous": 1}
    assert "rule 'orders' (POST) opens writes, and no guard has answered" in agent.process.errors()

    agent = with_rules(bed, "--unguarded")
    say(bed, *asks)
    assert agent.ask("status")["unguarded"] is True
    summary = agent.stop()
    assert heard(shadow)[1:] == [("POST", "/orders/7"), ("GET", "/orders/7")]
    assert shadow.requests()[1]["body_len"] == 500
    assert summary["ledger"]["replay"]["refused"] == {"method": 2, "ambiguous": 1}
    assert summary["unguarded"] is True
    assert "UNGUARDED: rule 'orders' (POST) opens writes" in agent.process.errors()


def test_what_is_tagged_and_rewritten_arrives_so(bed: Testbed, shadow: PyServer) -> None:
    """A header more, and changes by place; other requests as they were."""
    rules = """
[[rule]]
action = "tag"
path = "/a"
tag = "X-Dry-Run: yes"

[[rule]]
action = "rewrite"
method = "POST"
path = "/orders/{id}"
rewrite = [
  { segment = "id", prefix = "s-" },
  { query = "q", set = "2" },
  { header = "X-User", remove = true },
]
"""
    agent = with_rules(bed, "--unguarded", rules=rules)
    say(bed, ("GET", "/a"), ("POST", "/orders/7?q=1", ("X-User", "ann")), ("GET", "/b"))
    summary = agent.stop()
    assert heard(shadow) == [("GET", "/a"), ("POST", "/orders/s-7?q=2"), ("GET", "/b")]
    fields = [{name.lower(): value for name, value in one["headers"]} for one in shadow.requests()]
    assert [one.get("x-dry-run") for one in fields] == ["yes", None, None]
    assert not any("x-user" in one for one in fields)
    assert [row["passed"] for row in summary["rules"]] == [1, 1]


def test_methods_alone_send_no_write(bed: Testbed, shadow: PyServer) -> None:
    """``--methods all`` without a guard: reads go on, writes are refused by name."""
    agent = attach(bed, "--methods", "all")
    say(bed, ("POST", "/a"), ("DELETE", "/a"), ("GET", "/a"))
    summary = agent.stop()
    assert heard(shadow) == [("GET", "/a")]
    assert summary["ledger"]["replay"]["refused"] == {"unguarded": 2}
    assert "--methods opens writes" in agent.process.errors()


def test_by_source_network(bed: Testbed, shadow: PyServer) -> None:
    """The client's own address."""
    with connected(bed.client, bed.service) as connection:
        address = connection.sock.getsockname()[0]
    rules = f'[[rule]]\naction = "drop"\nname = "here"\nsource = "{address}"\n'
    agent = with_rules(bed, rules=rules)
    say(bed, ("GET", "/a"))
    summary = agent.stop()
    assert heard(shadow) == []
    assert by_name(summary)["here"]["matched"] == 1


def test_a_dry_run_sends_nothing(bed: Testbed, shadow: PyServer) -> None:
    """Not a packet to the shadow, not even to see whether it is there; all is counted by rule."""
    key = bed.directory / "guard.key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    guard = ("--guard", f"{bed.shadow.v4}:9999", "--guard-key", str(key))
    with Capture(bed.prod, bed.shadow_iface, f"host {bed.shadow.v4} and not arp") as capture:
        agent = with_rules(bed, "--unguarded", "--dry-run", *guard)
        say(bed, ("GET", "/a"), ("POST", "/orders/7"), ("PUT", "/a"), ("GET", "/admin"))
        eventually(lambda: at(agent.ledger(), "replay.refused") == 4, 20, "all decided", agent.pid)
        summary = agent.stop()
    assert capture.count() == 0
    assert heard(shadow) == []
    assert summary["dry_run"] is True
    assert summary["ledger"]["replay"]["refused"] == {"dry_run": 2, "method": 1, "rule": 1}
    assert by_name(summary)["orders"]["refused"] == {"dry_run": 1}
    assert "does not answer" not in agent.process.errors()


def test_policy_test_says_the_same(bed: Testbed, shadow: PyServer, tmp_path: Path) -> None:
    """What it says of a capture is what became of the same requests live."""
    asks = [("GET", "/a"), ("POST", "/orders/7"), ("PUT", "/a"), ("GET", "//admin")]
    with Capture(bed.prod, bed.service_iface, f"tcp port {PORT}") as capture:
        agent = with_rules(bed, "--unguarded")
        say(bed, *asks)
        live = agent.stop()
    assert len(heard(shadow)) == 2
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    done = subprocess.run(
        [COMMAND, "policy", "test", "--from", capture.pcap, "--config", rules, "--json"],
        capture_output=True,
        check=True,
    )
    report = json.loads(done.stdout)
    assert [(row["name"], row["matched"], row["replayed"]) for row in report["rules"]] == [
        (row["name"], row["matched"], row["passed"]) for row in live["rules"]
    ]
    assert report["default"]["replayed"] == 1
    assert report["default"]["refused"] == {"method": 1}
