"""``policy test``: what the rules would do with a capture's requests. Nothing is sent."""

from __future__ import annotations

import io
import json as codec
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder
from shadow_agent.capture.file import NotACapture, open_capture
from shadow_agent.config import Config
from shadow_agent.daemon.observed import observed
from shadow_agent.daemon.seccomp import Profile, open_sandbox
from shadow_agent.daemon.settings import rules_of
from shadow_agent.errors import ExitCode, UsageError
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.segment import Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import (
    Event,
    Exchange,
    RequestBodySeen,
    RequestEnded,
    RequestHeadSeen,
)
from shadow_agent.offline.changes import changed_lines
from shadow_agent.offline.clock import CaptureClock
from shadow_agent.offline.input import STDIN, open_input
from shadow_agent.offline.lines import quoted
from shadow_agent.offline.output import Output, ReaderGone
from shadow_agent.offline.privileges import become_unprivileged, limit_memory
from shadow_agent.offline.read import DECODER_LIMITS, FLOW_LIMITS, HTTP_LIMITS, stopper
from shadow_agent.policy.decision import PASSED, Policy, is_write
from shadow_agent.policy.outgoing import OutgoingLimits
from shadow_agent.policy.rule import Action, Change, Rule
from shadow_agent.telemetry.ledger import left_out, losses
from shadow_agent.telemetry.lines import Packets
from shadow_agent.telemetry.reasons import Refused, Unanswered

# Characters kept of a method, target or host in an example.
_LONGEST: Final = 160
_DEFECTS_MAX: Final = 100
_WORDS: Final = {
    PASSED: "replayed",
    Refused.RULE: "dropped",
    Refused.METHOD: "refused: method",
    Refused.AMBIGUOUS: "refused: ambiguous",
    Refused.UPGRADE: "refused: upgrade",
    Refused.REQUEST_LIMIT: "refused: request limit",
}


def run(config: Config, path: str, examples: int, say: Callable[[str], None]) -> ExitCode:
    """Read to the end and print what was decided. Raises OperatorError."""
    source = open_input(path)
    name = "standard input" if path == STDIN else path
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopper(source))
    trial = Trial(config, examples)
    sandbox = open_sandbox(config.seccomp, (Profile.READER,))
    become_unprivileged(config.user)
    limit_memory()
    sandbox.load(Profile.READER)
    counts = PacketCounts()
    try:
        capture = open_capture(io.BufferedReader(source))
        decoder = Decoder(frozenset(config.ports), DECODER_LIMITS, counts)
        trial.read(decoder.segments(capture))
    except NotACapture as exc:
        if source.stopped:
            return ExitCode.DONE
        raise UsageError(f"{name}: {exc}") from exc
    if capture.damage is not None and not source.stopped:
        say(f"{name}: damaged, read up to there: {capture.damage}")
    for defect in trial.defects:
        say(f"{name}: defect: {defect}")
    output = Output()
    try:
        for line in trial.lines(counts) if not config.json else [trial.json(counts)]:
            output.write(line + b"\n")
        output.flush()
    except ReaderGone:
        pass
    return ExitCode.INTERNAL if trial.defects else ExitCode.DONE


class _Shown:
    """An example whose rule changes it: its body is kept until it is whole."""

    def __init__(self, rule: Rule, example: dict[str, Any]) -> None:
        self._rule = rule
        self._example = example
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, raw: bytes) -> None:
        """More of the body; over the limit of what can be changed nothing is kept."""
        self._size += len(raw)
        if self._size <= 2 * OutgoingLimits().max_body:
            self._pieces.append(raw)
        else:
            self._pieces.clear()

    def finish(self, exchange: Exchange) -> None:
        """The body is whole, or as whole as it will be."""
        self._example["changes"] = changed_lines(self._rule, exchange, self._pieces)


class Trial:
    """Segments in, decisions counted by rule and what became of the request."""

    def __init__(self, config: Config, examples: int) -> None:
        """Of each rule and outcome so many examples are kept."""
        self._config = config
        self._most = examples
        # A guard is taken for granted: how many requests need one is told apart.
        self._policy = Policy(config.methods, b"", rules=rules_of(config), writes_open=True)
        self._counts: dict[str | None, dict[str, int]] = {}
        self._writes: dict[str | None, int] = {}
        self._examples: dict[str | None, dict[str, list[dict[str, Any]]]] = {}
        self._shown: dict[Exchange, _Shown] = {}
        self.defects: list[str] = []
        self._assembler = Assembler(
            FLOW_LIMITS, HTTP_LIMITS, SegmentCounts(), RequestCounts(), ExchangeCounts()
        )

    def read(self, segments: Iterable[Segment]) -> None:
        """To the end."""
        clock = CaptureClock()
        for segment in segments:
            try:
                self._handle(self._assembler.push(segment))
            except Exception as exc:  # noqa: BLE001 - a defect costs one segment, not the rest
                self.defects.append(f"{type(exc).__name__}: {exc}"[:200])
                del self.defects[_DEFECTS_MAX:]
                continue
            if not clock.low <= segment.ts < clock.high and clock.step(segment.ts):
                self._handle(self._assembler.expire(clock.now))
        self._handle(self._assembler.expire(clock.now + FLOW_LIMITS.hold_ns))
        self._handle(self._assembler.close(Unanswered.DRAINED, clock.now))

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RequestHeadSeen):
                self._decide(event.exchange)
            elif isinstance(event, RequestBodySeen):
                shown = self._shown.get(event.exchange)
                if shown is not None:
                    shown.add(event.raw)
            elif isinstance(event, RequestEnded):
                shown = self._shown.pop(event.exchange, None)
                if shown is not None:
                    shown.finish(event.exchange)

    def _decide(self, exchange: Exchange) -> None:
        why = self._policy.refuse(exchange)
        rule: Rule | None = exchange.rule
        name = None if rule is None else rule.name
        outcome = PASSED if why is None else why.value
        counts = self._counts.setdefault(name, {})
        counts[outcome] = counts.get(outcome, 0) + 1
        if why is None and is_write(exchange.request):
            self._writes[name] = self._writes.get(name, 0) + 1
        kept = self._examples.setdefault(name, {}).setdefault(outcome, [])
        if len(kept) < self._most:
            example: dict[str, Any] = {
                "method": exchange.method[:_LONGEST],
                "target": exchange.target[:_LONGEST].decode("latin-1"),
                "host": (exchange.host or b"")[:_LONGEST].decode("latin-1"),
            }
            kept.append(example)
            if rule is not None and why is None and (rule.tag or rule.edits):
                # at most as many as there are examples
                self._shown[exchange] = _Shown(rule, example)

    # --- what is shown ---

    def report(self, counts: PacketCounts) -> dict[str, Any]:
        """All of it, as JSON has it; strings of the wire are Latin-1 and not escaped."""
        config = self._config
        ledger = observed(self._assembler, counts.copied)
        packets = Packets.from_dict(counts.as_dict(), "packets")
        ledger = ledger.with_kernel(packets, in_ring=0, lost_starts=0)
        methods = ["all"] if config.methods is None else sorted(config.methods)
        return {
            "requests": ledger.requests.heads,
            "unguarded": config.unguarded,
            "rules": [self._row(one.name, one.action, changes_of(one)) for one in config.rules],
            "default": {**self._row(None, Action.REPLAY, []), "methods": methods},
            "lost": losses(ledger),
            "left_out": left_out(ledger),
        }

    def _row(self, name: str | None, action: Action, changes: list[str]) -> dict[str, Any]:
        refused = dict(self._counts.get(name, {}))
        passed = refused.pop(PASSED, 0)
        return {
            "name": name,
            "action": str(action),
            "matched": passed + sum(refused.values()),
            "replayed": passed,
            "writes": self._writes.get(name, 0),
            "refused": refused,
            "changes": changes,
            "examples": self._examples.get(name, {}),
        }

    def json(self, counts: PacketCounts) -> bytes:
        """One object in one line of printable ASCII."""
        return codec.dumps(self.report(counts)).replace("\x7f", "\\u007f").encode("ascii")

    def lines(self, counts: PacketCounts) -> Iterator[bytes]:
        """For people, in printable ASCII."""
        report = self.report(counts)
        yield f"{report['requests']:,} requests; nothing was sent".encode()
        for row in [*report["rules"], report["default"]]:
            name = row["name"] or f"(no rule: {', '.join(row['methods'])})"
            yield b""
            yield f"{name} [{row['action']}]: {row['matched']:,} matched".encode()
            for change in row["changes"]:
                yield b"    " + quoted(change.encode()).replace(b'\\"', b'"')
            for outcome, kept in row["examples"].items():
                number = row["replayed"] if outcome == PASSED else row["refused"][outcome]
                yield f"  {_WORDS.get(outcome, outcome)}: {number:,}".encode()
                for one in kept:
                    text = " ".join((one["method"], one["target"], one["host"])).rstrip()
                    yield b"    " + quoted(text.encode("latin-1"))
                    for line in one.get("changes", ()):
                        yield b"      " + quoted(line.encode("latin-1")).replace(b'\\"', b'"')
            if row["writes"] and not report["unguarded"]:
                yield f"  {row['writes']:,} of them need a guard, or --unguarded".encode()
        for title in ("lost", "left_out"):
            for what, number in report[title].items():
                yield f"{title.replace('_', ' ')}: {what} {number:,}".encode()


def changes_of(rule: Rule) -> list[str]:
    """What is done to a request that the rule lets out, in words."""
    found = [f"adds {rule.tag}"] if rule.tag else []
    for edit in rule.edits:
        place = f"{edit.place.part} {edit.place.name}"
        if edit.change is Change.REMOVE:
            found.append(f"removes {place}")
        elif edit.change is Change.PREFIX:
            found.append(f"prefixes {place} with {edit.value}")
        else:
            found.append(f"sets {place} to {edit.value}")
    return found
