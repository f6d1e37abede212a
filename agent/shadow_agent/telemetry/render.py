"""The summary for people, in rich; readable without colour and at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shadow_agent.telemetry.by_rule import rules_table
from shadow_agent.telemetry.ledger import Ledger, blind, left_out, losses, meaning, wanted
from shadow_agent.telemetry.reasons import Outcome
from shadow_agent.telemetry.remarks import remarks
from shadow_agent.telemetry.side_effects import render_side_effects
from shadow_agent.telemetry.terminal import (
    count,
    duration,
    escape,
    micros,
    percent,
    plain,
    ratio,
    shorten,
)

__all__ = ["headline", "latency_table", "render_summary"]

_GOOD_COVERAGE: Final = 0.99  # below it the headline is no all-clear, whatever was compared
_ENDPOINTS_SHOWN: Final = 10
_PAIRS_SHOWN: Final = 8
_PATH_SHOWN: Final = 48
_PERCENTILES: Final = ("p50", "p95", "p99")
_OTHER_OUTCOMES: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.ANSWERED)


def render_summary(summary: Mapping[str, Any]) -> RenderableType:
    """What ``summary_json`` returned, as something a rich Console prints."""
    ledger = Ledger.from_dict(summary["ledger"])
    blocks = (
        _title(summary),
        _verdict(summary, ledger),
        _latency(summary),
        _answers(summary, ledger),
        _endpoints(summary["endpoints"]),
        rules_table(summary["rules"]),
        render_side_effects(summary),
        _names("Lost: this lowers coverage", losses(ledger)),
        _names("Left out: this does not lower coverage by itself", left_out(ledger)),
        _footer(summary),
    )
    shown: list[RenderableType] = []
    for block in blocks:
        if block is not None:
            shown += [block, Text()]
    return Group(Text(), *shown[:-1])


def headline(ledger: Ledger, different: int, share: float | None) -> Text:
    """One sentence on what was compared; green only when all agree and little was missed."""
    compared = ledger.pairs.compared
    if blind(ledger):
        return Text("Not one HTTP request in the payload seen: this run says nothing.", "bold red")
    if not compared:
        if not ledger.requests.started:
            return Text("No request was seen.", "bold yellow")
        return Text(f"None of {count(ledger.requests.started)} requests was compared.", "bold red")
    whole = "exchange" if compared == 1 else "exchanges"
    if different:
        return Text(
            f"{count(different)} of {count(compared)} compared {whole} "
            f"{'differs' if different == 1 else 'differ'} ({percent(different / compared)}).",
            "bold red",
        )
    if share is None or share < _GOOD_COVERAGE:
        return Text(
            f"No difference in {count(compared)} compared {whole}, "
            f"but only {percent(share)} of what was wanted could be compared.",
            "bold yellow",
        )
    return Text(f"No difference in {count(compared)} compared {whole}.", "bold green")


def latency_table(title: str, latency: Mapping[str, Mapping[str, float | None]]) -> Table:
    """p50, p95 and p99 of both sides and how they compare; latencies in microseconds."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(Text(title, "bold"), min_width=20, no_wrap=True)
    for name in _PERCENTILES:
        table.add_column(Text(name, "dim"), justify="right", min_width=8, no_wrap=True)
    production, shadow = latency["production"], latency["shadow"]
    table.add_row("production", *(micros(production[name]) for name in _PERCENTILES))
    table.add_row("shadow", *(micros(shadow[name]) for name in _PERCENTILES))
    table.add_row(
        Text("shadow ÷ production", "dim"),
        *(Text(ratio(shadow[name], production[name]), "dim") for name in _PERCENTILES),
    )
    return table


def _title(summary: Mapping[str, Any]) -> Group:
    name = plain(f"shadow-agent {summary['version']}", "bold")
    name.append(f" · {escape(summary['target'])} · {duration(summary['duration_s'])}")
    builds = summary["builds"]
    sides = (
        f"production {builds.get('production') or ''}".rstrip(),
        f"shadow {builds.get('shadow') or ''}".rstrip(),
    )
    return Group(name, plain(f"{sides[0]} → {sides[1]} at {summary['shadow']}", "dim"))


def _missed(summary: Mapping[str, Any], ledger: Ledger) -> str:
    compared = ledger.pairs.compared
    missed = wanted(ledger) - compared
    if missed:
        return f" ({count(missed)} of {count(wanted(ledger))} wanted were not compared)"
    # what a bad outcome left unknown is a finding; what we did not see is not
    answered = summary["outcomes"].get(Outcome.ANSWERED, 0)
    unseen = summary["bodies"]["unknown"] - (compared - answered)
    if unseen > 0:
        return f" (but {count(unseen)} bodies were not wholly seen)"
    return " (nothing was missed)" if compared else ""


def _verdict(summary: Mapping[str, Any], ledger: Ledger) -> Group:
    if summary["dry_run"]:
        lines = [Text("Dry run: nothing was sent.", "bold")]
    else:
        lines = [headline(ledger, summary["different"], summary["coverage"])]
    if summary["unguarded"]:
        lines.append(Text("Unguarded: nothing kept the shadow's side effects inside.", "bold red"))
    coverage = Text(f"coverage {percent(summary['coverage'])}")
    coverage.append(_missed(summary, ledger), "dim")
    coverage.append(f" · reach {percent(summary['reach'])}")
    if summary["diverged"]:
        said = f" ({count(summary['diverged'])} pairs diverged: an earlier write is missing)"
        coverage.append(said, "dim")
    lines.append(coverage)
    return Group(*lines, *remarks(summary))


def _latency(summary: Mapping[str, Any]) -> Group | None:
    if summary["latency_us"]["production"]["p50"] is None:
        return None
    blocks: list[RenderableType] = [latency_table("First byte", summary["latency_us"])]
    if summary["last_byte_us"]["production"]["p50"] is not None:
        blocks.append(latency_table("Last byte", summary["last_byte_us"]))
    notes = []
    if summary["network_rtt_us"] is not None:
        notes.append(f"network round trip to the shadow {micros(summary['network_rtt_us'])}")
    unknown = [f"{why} {count(n)}" for why, n in summary["latency_unknown"].items() if n]
    if unknown:
        notes.append(f"latency unknown: {', '.join(unknown)}")
    if notes:
        blocks.append(Text(" · ".join(notes), "dim"))
    return Group(*blocks)


def _answers(summary: Mapping[str, Any], ledger: Ledger) -> Table | None:
    if not ledger.pairs.compared:
        return None
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", min_width=20, no_wrap=True)
    table.add_column()
    status, bodies = summary["status"], summary["bodies"]
    table.add_row("Status", _verdicts(status["matched"], status["mismatched"], 0))
    # Pairs without a status on the shadow's side are those of the row of outcomes below.
    different = [
        (pair, n)
        for pair, n in status["by_pair"].items()
        if "→" not in pair or (pair[:3] != pair[4:] and pair[4:].isdigit())
    ]
    if different:
        table.add_row("", _list(different[:_PAIRS_SHOWN], len(different) - _PAIRS_SHOWN))
    table.add_row("Bodies", _verdicts(bodies["matched"], bodies["mismatched"], bodies["unknown"]))
    bad = [(str(o), summary["outcomes"].get(o, 0)) for o in _OTHER_OUTCOMES]
    bad = [(name, n) for name, n in bad if n]
    if bad:
        table.add_row("Shadow failed", _list(bad, 0))
    return table


def _verdicts(matched: int, mismatched: int, unknown: int) -> Text:
    text = Text(f"{count(matched)} matched")
    text.append(f" · {count(mismatched)} mismatched", "red" if mismatched else "")
    if unknown:
        text.append(f" · {count(unknown)} unknown", "yellow")
    return text


def _list(items: list[tuple[str, int]], more: int) -> Text:
    text = Text(", ").join(
        Text.assemble((escape(name), "red"), f" {count(n)}") for name, n in items
    )
    if more > 0:
        text.append(f", and {count(more)} more kinds", "dim")
    return text


def _endpoints(endpoints: list[dict[str, Any]]) -> Group | None:
    if not endpoints:
        return None
    rows = [_endpoint(row) for row in endpoints[:_ENDPOINTS_SHOWN]]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    # To rich only the path can wrap, so on a narrow terminal it alone gives way; it is cut then.
    table.add_column(Text("Endpoints, worst first", "bold"))
    for name in ("pairs", "status ≠", "body ≠", "p99 prod.", "p99 shadow"):
        table.add_column(Text(name, "dim"), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    rest = endpoints[_ENDPOINTS_SHOWN:]
    if not rest:
        return Group(table)
    worse = sum(1 for row in rest if row["status_mismatches"] or row["body_mismatches"])
    note = f"and {count(len(rest))} more, {count(worse) if worse else 'none'} with differences"
    return Group(table, Text(note, "dim"))


def _endpoint(row: Mapping[str, Any]) -> list[Text]:
    latency = row["latency_us"]
    return [
        Text(
            shorten(f"{row['method']} {row['path']}", _PATH_SHOWN),
            no_wrap=True,
            overflow="ellipsis",
        ),
        Text(count(row["pairs"])),
        _bad(row["status_mismatches"]),
        _bad(row["body_mismatches"]),
        *(Text(micros(latency[side]["p99"])) for side in ("production", "shadow")),
    ]


def _bad(n: int) -> Text:
    return Text(count(n), "red") if n else Text("·", "dim")


def _names(title: str, names: Mapping[str, int]) -> Group | None:
    if not names:
        return None
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for name, n in sorted(names.items(), key=lambda item: -item[1]):
        table.add_row(name, count(n), meaning(name))
    return Group(Text(title, "bold"), Padding(table, (0, 0, 0, 2)))


def _footer(summary: Mapping[str, Any]) -> Text:
    return Text(" · ".join(_facts(summary)), "dim")


def _facts(summary: Mapping[str, Any]) -> Iterator[str]:
    if "capture" in summary:
        yield f"replayed at speed {summary['capture']['speed']}"
        yield "the shadow's latency by our own clock"
    else:
        taps = [f"{escape(iface)} ({escape(how)})" for iface, how in summary["attached"].items()]
        yield f"tapped {', '.join(taps)}" if taps else "nothing tapped"
        yield f"loader {escape(summary['loader'])}"
    agent = summary["agent"]
    if agent is not None:
        yield f"agent {agent['cpu_s']:.1f} s CPU"
        if agent["cpu_us_per_compared"] is not None:
            yield f"{agent['cpu_us_per_compared']:,.0f} µs per comparison"
        yield f"{agent['max_rss_bytes'] / 2**20:.0f} MiB"
        bpf = agent.get("bpf")
        if bpf is not None and bpf["ns_per_packet"] is not None:
            yield f"tap {bpf['ns_per_packet']:,.0f} ns a packet"
    yield f"run {escape(summary['run_id'])}"
    yield f"epoch {summary['epoch']}"
