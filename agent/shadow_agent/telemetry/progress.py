"""What the run looks like while it goes on: a panel on a terminal, else a line now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from shadow_agent.telemetry.ledger import Ledger, coverage, losses
from shadow_agent.telemetry.render import latency_table
from shadow_agent.telemetry.summary import percentiles
from shadow_agent.telemetry.terminal import clock, count, escape, micros, percent

if TYPE_CHECKING:
    from shadow_agent.telemetry.run import Run, State
    from shadow_agent.telemetry.snapshot import Snapshot

__all__ = ["PLAIN_EVERY_S", "Progress"]

PLAIN_EVERY_S: Final = 5.0
_LOSSES_SHOWN: Final = 4
_WIDEST: Final = 100


class _Reading(NamedTuple):
    now: float
    heads: int


class Progress:
    """Shows snapshots on ``console`` (a Console on stderr) between ``with`` and its end.

    Feed it one or a few times a second.  It starts no thread and reads no clock: what is shown
    is what the last ``update`` brought.  On no terminal it prints a line every ``every_s``
    seconds of the time it is told.
    """

    def __init__(self, console: Console, run: Run, *, every_s: float = PLAIN_EVERY_S) -> None:
        self._console = console
        self._run = run
        self._every_s = every_s
        self._start: float | None = None
        self._before: _Reading | None = None
        self._printed = float("-inf")
        # Standard output carries data only, so it is none of rich's business.
        self._live = (
            Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

    def __enter__(self) -> Self:
        """Take over the bottom of the terminal, if it is one."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back; the panel disappears, since the summary follows."""
        if self._live is not None:
            self._live.stop()

    def update(self, now: float, ledger: Ledger, snapshot: Snapshot, state: State) -> None:
        """Show the totals at ``now`` (seconds, any monotonic clock, the same one each time)."""
        if self._start is None:
            self._start = now
        elapsed = now - self._start
        if self._live is not None:
            rate = self._rate(now, ledger)
            self._live.update(self._panel(elapsed, rate, ledger, snapshot, state), refresh=True)
        elif now - self._printed >= self._every_s:
            self._printed = now
            line = self._line(elapsed, self._rate(now, ledger), ledger, snapshot, state)
            self._console.print(line, soft_wrap=True, highlight=False)

    def _rate(self, now: float, ledger: Ledger) -> float | None:
        """Requests a second since the update before; None at the first."""
        reading = _Reading(now, ledger.requests.heads)
        before, self._before = self._before, reading
        if before is None or reading.now <= before.now:
            return None
        return max(0, reading.heads - before.heads) / (reading.now - before.now)

    def _panel(
        self,
        elapsed: float,
        rate: float | None,
        ledger: Ledger,
        snapshot: Snapshot,
        state: State,
    ) -> RenderableType:
        run = self._run
        latency = {
            "production": percentiles(snapshot.production_first),
            "shadow": percentiles(snapshot.shadow_first),
        }
        title = f"shadow-agent · {escape(run.target)} → {escape(run.shadow)}"
        return Panel(
            Group(
                _facts(rate, ledger, snapshot, state),
                Text(),
                latency_table("First byte", latency),
                Text(),
                _lost(ledger),
            ),
            title=Text(title),
            title_align="left",
            subtitle=Text(f"{clock(elapsed)} · Ctrl-C ends it and summarises", "dim"),
            subtitle_align="left",
            border_style="yellow" if state.paused else "red" if snapshot.different else "green",
            width=min(_WIDEST, self._console.width),
            padding=(0, 1),
        )

    def _line(
        self,
        elapsed: float,
        rate: float | None,
        ledger: Ledger,
        snapshot: Snapshot,
        state: State,
    ) -> Text:
        parts = [clock(elapsed), _facts(rate, ledger, snapshot, state).plain]
        for side, histogram in (
            ("production", snapshot.production_first),
            ("shadow", snapshot.shadow_first),
        ):
            shown = " / ".join(micros(us) for us in percentiles(histogram).values())
            parts.append(f"{side} p50/p95/p99 {shown}")
        parts.append(_lost(ledger).plain)
        return Text(" · ".join(parts))


def _facts(rate: float | None, ledger: Ledger, snapshot: Snapshot, state: State) -> Text:
    compared, different = ledger.pairs.compared, snapshot.different
    facts = [
        Text("PAUSED", "bold yellow")
        if state.paused
        else Text("… req/s" if rate is None else f"{rate:,.0f} req/s", "bold"),
        Text(f"{count(compared)} compared"),
        Text(
            f"{count(different)} differ"
            + (f" ({percent(different / compared)})" if different and compared else ""),
            "red" if different else "green",
        ),
        Text(f"coverage {percent(coverage(ledger))}"),
    ]
    breakers = snapshot.breakers
    if breakers.open or breakers.half_open:
        causes = ", ".join(sorted(breakers.cause, key=lambda one: -breakers.cause[one])[:2])
        facts.append(Text(f"breaker {breakers.state}: {causes}", "bold red"))
    if state.sample < 1.0:
        why = f" (governor: {state.cause})" if state.factor < 1.0 else ""
        facts.append(Text(f"sample {state.sample:.3g}{why}", "yellow"))
    return Text(" · ").join(facts)


def _lost(ledger: Ledger) -> Text:
    found = sorted(losses(ledger).items(), key=lambda item: -item[1])
    if not found:
        return Text("nothing lost", "dim")
    shown = ", ".join(f"{name} {count(n)}" for name, n in found[:_LOSSES_SHOWN])
    rest = len(found) - _LOSSES_SHOWN
    more = f", and {rest} more" if rest > 0 else ""
    return Text(f"lost: {shown}{more}", "yellow")
