"""``[budget]`` and ``[breaker]``: what is not given is no bound; what is written is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import Config, load
from shadow_agent.config.budget import Budget, cost
from shadow_agent.errors import UsageError
from shadow_agent.policy.breaker import BreakerTerms

FLAGS: dict[str, object] = {"iface": ["eth0"], "port": [80], "shadow": "http://s"}


def loaded(tmp_path: Path, text: str, **flags: object) -> Config:
    """The configuration of a file that says this."""
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return load({**FLAGS, **flags}, path)


def test_nothing_is_bounded_by_default() -> None:
    """Not by a budget; limits and the breaker are others."""
    assert Budget() == Budget(
        requests_per_s=None, burst=None, concurrent=None, requests=None, wall_s=None, cost=None
    )


def test_the_burst_is_a_seconds_worth() -> None:
    """At least one, unless it is said."""
    assert Budget(requests_per_s=12.5).burst_or_default() == 13
    assert Budget(requests_per_s=0.1).burst_or_default() == 1
    assert Budget(requests_per_s=100, burst=3).burst_or_default() == 3


def test_what_is_written_is_meant(tmp_path: Path) -> None:
    """All of them."""
    config = loaded(
        tmp_path,
        "[budget]\nrequests-per-s = 0.5\nburst = 3\nconcurrent = 4\nrequests = 5\nwall-s = 6\n"
        "cost = 7.5\n[breaker]\nenabled = false\nshare = 0.25\nbehind-s = 2\n",
    )
    assert config.budget == Budget(
        requests_per_s=0.5, burst=3, concurrent=4, requests=5, wall_s=6.0, cost=7.5
    )
    assert config.breaker == BreakerTerms(enabled=False, share=0.25, behind_s=2)
    assert (config.most_requests, config.most_seconds) == (5, 6.0)


def test_nothing_is_a_cost_too() -> None:
    """So are parts of one."""
    assert (cost(0), cost(0.5)) == (0, 0.5)


def test_flags_go_before(tmp_path: Path) -> None:
    """``--requests`` and ``--duration`` are the same budgets."""
    config = loaded(tmp_path, "[budget]\nrequests = 5\nwall-s = 6\n", requests=9, duration=1.5)
    assert (config.most_requests, config.most_seconds) == (9, 1.5)


def test_bytes(tmp_path: Path) -> None:
    """As they are written; a second's worth may be copied at once unless it is said."""
    budget = loaded(tmp_path, "[budget]\nbytes-per-s = 1000\n").budget
    assert (budget.bytes_per_s, budget.bytes_burst) == (1000, None)
    budget = loaded(tmp_path, "[budget]\nbytes-per-s = 1000\nbytes-burst = 7\n").budget
    assert (budget.bytes_per_s, budget.bytes_burst) == (1000, 7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[budget]\nbytes-per-s = 0", "bytes-per-s"),
        ("[budget]\nbytes-burst = 9", "2: budget.bytes-burst: says nothing by itself"),
        ("[budget]\nrequests-per-s = 0\n", "c.toml:2: budget.requests-per-s: 0 is out of range"),
        ("[budget]\nrequests-per-s = 1e7\n", "above 0, at most 1e6"),
        ("[budget]\nburst = 3\n", "2: budget.burst: says nothing by itself; give requests-per-s"),
        ("[budget]\ncost = -1\n", "give 0 to 1e9"),
        ("[budget]\nconcurent = 1\n", "did you mean concurrent?"),
        ("[breaker]\nshare = 0\n", "0 would open it for nothing"),
        ("[breaker]\nprobes = 0\n", "give 1 to 1000"),
        (
            "[breaker]\npause-s = 20\n",
            "2: breaker.pause-s: pause-s is above longest-pause-s; raise the latter",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """With the file, the key and the fix."""
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)
