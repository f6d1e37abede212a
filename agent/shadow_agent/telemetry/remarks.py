"""What has to be known beside the figures of a summary: what stopped, held back or looked away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from shadow_agent.telemetry.load import describe_load
from shadow_agent.telemetry.terminal import count, duration, escape, percent, plain


def remarks(summary: Mapping[str, Any]) -> Iterator[Text]:
    """A line each, none where there is nothing to say."""
    for alert in summary["alerts"]:
        yield plain(f"ALERT {alert}", "bold red")
    if summary["ended"] is not None:
        yield plain(f"The run ended: {summary['ended']}")
    refused = summary["ledger"]["replay"]["refused"].get("cost")
    if refused:
        yield plain(
            f"The budget of cost is spent: {count(refused)} requests were refused", "yellow"
        )
    if summary["untracked"]:
        yield plain(
            f"{count(summary['untracked'])} packets over the byte budget were so because the "
            "kernel's table of connections was full",
            "yellow",
        )
    if summary["breaker"]["opened"]:
        yield _breaker(summary["breaker"])
    for interruption in summary["interruptions"]:
        yield _interruption(interruption)
    yield from _range(summary)
    for line in summary["imbalances"]:
        yield plain(f"The ledger does not balance: {line}", "bold red")


def _breaker(seen: Mapping[str, Any]) -> Text:
    causes = ", ".join(f"{escape(name)} {count(n)}" for name, n in seen["cause"].items())
    still = (
        "" if seen["state"] == "closed" else f"; it was {seen['state'].replace('_', '-')} at last"
    )
    return Text(
        f"The breaker opened {count(seen['opened'])} times ({causes}) and held back requests "
        f"for {duration(seen['open_s'])}{still}.",
        "yellow",
    )


def _range(summary: Mapping[str, Any]) -> Iterator[Text]:
    """What load was compared, and when the governor looked away."""
    governor, load = summary.get("governor"), summary.get("load")
    if load is not None:
        style = "dim" if load["blind_above"] is None else "yellow"
        yield from (plain(f"load: {sentence}", style) for sentence in describe_load(load))
    if governor is not None and governor["lowered_s"]:
        causes = sorted({one["cause"] for one in governor["changes"]} - {"recovering"})
        yield plain(
            f"The governor lowered sampling for {duration(governor['lowered_s'])}, down to "
            f"{percent(governor['min_factor'])} of the configured sample ({', '.join(causes)})",
            "yellow",
        )


def _interruption(interruption: Mapping[str, Any]) -> Text:
    still = "" if interruption["to"] is not None else ", and still is"
    return plain(
        f"Nothing was mirrored for {duration(interruption['seconds'])}: "
        f"{interruption['iface']} was away or down{still}",
        "yellow",
    )
