"""The summary for people: honest headline, every loss by name, nothing from the wire raw."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from shadow_agent.telemetry.ledger import Ledger, Packets, Pairs, Requests
from shadow_agent.telemetry.render import headline, render_summary
from shadow_agent.telemetry.run import Cost, Interruption, Run
from shadow_agent.telemetry.snapshot import Snapshot
from shadow_agent.telemetry.summary import summary_json


def printed(summary: dict[str, Any], width: int = 100) -> str:
    """What a file would get."""
    out = io.StringIO()
    Console(file=out, width=width).print(render_summary(summary))
    return out.getvalue()


@pytest.fixture
def summary(run: Run, ledger: Ledger, snapshot: Snapshot) -> dict[str, Any]:
    """A summary with everything in it."""
    return summary_json(
        run,
        ledger,
        snapshot,
        duration_s=61.0,
        interruptions=[Interruption("eth\x1b0", 1.0, None, 2.0)],
        alerts=["alert \x1b]0;title\x07 [red]x"],
        cost=Cost(1.0, 50 * 2**20),
    )


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_it_fits_and_says_everything(summary: dict[str, Any], width: int) -> None:
    """No line is wider than the terminal; headline, shares and sides are there."""
    text = printed(summary, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for part in (
        "10 of 90 compared exchanges differ (11.11 %).",
        "coverage 90.00 %",
        "reach 76.27 %",
        "10 of 100 wanted were not compared",
        "200→500 4",
        "timeout_first_byte 3",
        "replay.shed.queue_full",
        "replay.refused.method",
        "production v1 → shadow v2",
        "and still is",
    ):
        assert part in " ".join(text.split()), part


def test_nothing_from_the_wire_is_raw(summary: dict[str, Any]) -> None:
    """Control characters are spelt out and markup is shown, not obeyed."""
    text = printed(summary)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert r"GET /\x1b[31m[bold]x[/bold]\x0d\x0a\x9b2J" in text
    assert r"ALERT alert \x1b]0;title\x07 [red]x" in text


def test_colour_does_not_let_the_wire_through(summary: dict[str, Any]) -> None:
    """On a terminal the only escape sequences are rich's own colours."""
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system="standard")
    console.print(render_summary(summary))
    rest = out.getvalue()
    assert "\x1b[1;31m10 of 90" in rest
    assert "\x1b]" not in rest
    assert "\x9b" not in rest
    assert "\x07" not in rest


def test_only_losses_that_happened_are_listed(summary: dict[str, Any]) -> None:
    """Zeros stay away, and without any loss so does the whole block."""
    assert "queue_full" in printed(summary)
    assert "backlog_bytes" not in printed(summary)
    clean = Ledger(
        requests=Requests(started=1, complete=1), pairs=Pairs(replayed=1, compared=1)
    ).as_dict()
    bodies = {"matched": 1, "mismatched": 0, "unknown": 0}
    shown = {"ledger": clean, "coverage": 1.0, "outcomes": {"answered": 1}, "bodies": bodies}
    text = printed(summary | shown)
    assert "Lost:" not in text
    assert "Left out:" not in text
    assert "nothing was missed" in text
    # a body that the shadow cut short is a finding; one of which packets were lost is not seen
    unseen = {"matched": 0, "mismatched": 0, "unknown": 1}
    assert "nothing was missed" in printed(
        summary | shown | {"outcomes": {"closed": 1}, "bodies": unseen}
    )
    text = printed(summary | shown | {"bodies": unseen})
    assert "nothing was missed" not in text
    assert "(but 1 bodies were not wholly seen)" in text


def test_an_imbalance_is_shown(summary: dict[str, Any]) -> None:
    """A ledger that does not balance is no footnote."""
    text = printed(summary | {"imbalances": ["packets: seen is 3 but …"]})
    assert "The ledger does not balance: packets: seen is 3" in text


def test_an_empty_run(run: Run) -> None:
    """Without traffic it says so in a few lines and fails nowhere."""
    text = printed(summary_json(run, Ledger(), Snapshot(), duration_s=1.0))
    assert "No request was seen." in text
    assert "coverage —" in text
    assert len(text.splitlines()) < 12


def test_a_capture_was_not_tapped(summary: dict[str, Any]) -> None:
    """The footer says how it was replayed, and where the clock was."""
    assert "tapped" in printed(summary)
    text = " ".join(printed(summary | {"capture": {"speed": "max"}, "clock": "user"}).split())
    assert "tapped" not in text
    assert "replayed at speed max · the shadow's latency by our own clock" in text


def test_many_endpoints_are_cut(summary: dict[str, Any]) -> None:
    """Ten rows, and how many more and how many of those differ."""
    row = summary["endpoints"][0]
    text = printed(summary | {"endpoints": [row] * 12})
    assert "and 2 more, 2 with differences" in text
    fine = row | {"status_mismatches": 0, "body_mismatches": 0}
    text = printed(summary | {"endpoints": [row] * 10 + [fine]})
    assert "and 1 more, none with differences" in text


def test_many_status_pairs_are_cut(summary: dict[str, Any]) -> None:
    """Eight kinds, and how many more."""
    pairs = {f"200→{code}": 1 for code in range(400, 410)} | {"other": 1}
    status = {"matched": 0, "mismatched": 11, "by_pair": pairs}
    assert "and 3 more kinds" in " ".join(printed(summary | {"status": status}).split())


@pytest.mark.parametrize(
    ("ledger", "different", "share", "said", "style"),
    [
        (Ledger(packets=Packets(copied=9)), 0, None, "Not one HTTP request", "bold red"),
        (Ledger(), 0, None, "No request was seen", "bold yellow"),
        (Ledger(requests=Requests(started=5)), 0, None, "None of 5 requests", "bold red"),
        (Ledger(pairs=Pairs(compared=4)), 1, 1.0, "1 of 4 compared", "bold red"),
        (Ledger(pairs=Pairs(compared=1)), 0, 1.0, "compared exchange.", "bold green"),
        (Ledger(pairs=Pairs(compared=4)), 0, 0.98, "but only 98", "bold yellow"),
    ],
)
def test_no_false_all_green(
    ledger: Ledger, different: int, share: float | None, said: str, style: str
) -> None:
    """Only agreement on nearly everything is green."""
    text = headline(ledger, different, share)
    assert said in text.plain
    assert text.style == style


def test_a_governor_that_looked_away_shows(summary: dict[str, Any]) -> None:
    """For how long, how far down and why; and above which load nothing was compared."""
    governor = {
        "lowered_s": 42.0,
        "min_factor": 0.05,
        "changes": [{"cause": "host_cpu"}, {"cause": "recovering"}],
    }
    load = {
        "unit": "requests/s",
        "production": {"least": 10.0, "most": 3100.0},
        "compared": {"least": 120.0, "most": 800.0},
        "blind_above": 900.0,
        "buckets": [],
    }
    text = " ".join(printed(summary | {"governor": governor, "load": load}, 200).split())
    assert "the comparison saw 120–800 req/s; production had up to 3,100; above 900 nothing" in text
    assert (
        "The governor lowered sampling for 42.0 s, down to 5.00 % of the configured sample "
        "(host_cpu)" in text
    )
    assert "governor" not in printed(summary)


def test_the_cost_of_the_tap(summary: dict[str, Any]) -> None:
    """In the footer, once it was measured."""
    bpf = {"ns_per_packet": 412.3}
    text = printed(summary | {"agent": summary["agent"] | {"bpf": bpf}}, 200)
    assert "tap 412 ns a packet" in text
    assert "ns a packet" not in printed(summary, 200)
