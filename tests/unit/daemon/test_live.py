"""What travels to a running worker."""

from __future__ import annotations

import json
from pathlib import Path

from shadow_agent.config import load
from shadow_agent.daemon.live import live_of, message_of
from shadow_agent.policy.breaker import BreakerTerms
from shadow_agent.policy.budget import Terms
from shadow_agent.policy.rule import Action
from shadow_agent.replay.limits import PoolLimits

FLAGS = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:8080"}


def test_it_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """By JSON: rules in their order, methods, deadlines; the rest of the limits stays."""
    path = tmp_path / "own.toml"
    path.write_text(
        'methods = "all"\n[limits]\nmax-queue = 3\nmax-connections = 5\ndrain-s = 2.0\n'
        "[budget]\nconcurrent = 4\nrequests = 9\n[breaker]\nprobes = 7\n"
        '[[rule]]\nname = "a"\naction = "drop"\npath = "/a/{id}"\n'
        '[[rule]]\nname = "b"\nmethod = "POST"\naction = "rewrite"\n'
        'rewrite = [{ header = "X-A", set = "1" }]\nsource = ["10.0.0.0/8"]\n',
        encoding="utf-8",
    )
    config = load(FLAGS, path)
    message = json.loads(json.dumps(message_of(config)))
    now = PoolLimits(max_connections=77, max_kept_reply=9)
    live = live_of(message, now)
    assert live.methods is None
    assert live.rules == config.rules
    assert [rule.action for rule in live.rules] == [Action.DROP, Action.REWRITE]
    assert live.drain_s == 2.0
    assert live.breaker == BreakerTerms(probes=7)
    assert live.terms == Terms(concurrent=4, requests=9)
    assert live.pool_limits == now._replace(max_queue=3)


def test_without_rules(tmp_path: Path) -> None:
    """The last rule may go, too."""
    config = load(FLAGS, _empty(tmp_path))
    live = live_of(message_of(config), PoolLimits())
    assert live.rules == ()
    assert live.methods == frozenset({"GET", "HEAD", "OPTIONS"})


def _empty(folder: Path) -> Path:
    path = folder / "empty.toml"
    path.touch()
    return path
