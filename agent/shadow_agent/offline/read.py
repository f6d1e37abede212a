"""``read``: a capture's exchanges as JSON lines."""

from __future__ import annotations

import gc
import io
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder, DecoderLimits
from shadow_agent.capture.file import NotACapture, open_capture
from shadow_agent.daemon.observed import observed
from shadow_agent.daemon.seccomp import Profile, open_sandbox
from shadow_agent.errors import ExitCode, UsageError
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import ExchangeEnded, FlowClosed, Limits, RequestEnded
from shadow_agent.offline.clock import CaptureClock
from shadow_agent.offline.input import STDIN, Input, open_input
from shadow_agent.offline.lines import LineFormatter
from shadow_agent.offline.output import Output, ReaderGone
from shadow_agent.offline.privileges import become_unprivileged, limit_memory
from shadow_agent.telemetry.ledger import left_out, losses
from shadow_agent.telemetry.lines import Packets
from shadow_agent.telemetry.reasons import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from shadow_agent.flow.segment import Segment
    from shadow_agent.http.exchange import Event, Exchange

# A file has no hurry, so more is waited for than on a wire.
FLOW_LIMITS: Final = FlowLimits(
    max_flows=65_536,
    max_held_bytes_per_flow=8 << 20,
    max_held_bytes_total=8 << 20,
    idle_ns=3_600_000_000_000,
    hold_ns=60_000_000_000,
    acks_prove_loss=False,
)
HTTP_LIMITS: Final = Limits(max_held_bytes=8 << 20)
DECODER_LIMITS: Final = DecoderLimits(max_connections=65_536)
# Objects between two collections of garbage. Nearly all die by themselves, and to look for the
# others every 700 objects cost a sixth of the time.
_GARBAGE_EVERY: Final = 50_000
# Closed flows between two looks at who holds nothing any more. Expiry looks too, but where stamps
# stand still there is none.
_SWEEP_EVERY: Final = 4096
_DEFECTS_MAX: Final = 10
_DEFECT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """What is read, and how."""

    path: str  # "-" is standard input
    ports: frozenset[int] = frozenset()  # of the service; empty: found out
    user: str | None = None
    quiet: bool = False


def run(settings: ReadSettings, say: Callable[[str], None]) -> ExitCode:
    """Read to the end, or to where the file is damaged. Raises OperatorError.

    ``say`` gets one line about the whole, for standard error.
    """
    source = open_input(settings.path)
    name = "standard input" if settings.path == STDIN else settings.path
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopper(source))
    sandbox = open_sandbox("auto", (Profile.READER,))
    become_unprivileged(settings.user)
    limit_memory()
    sandbox.load(Profile.READER)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_EVERY, 20, 50)
    counts = PacketCounts()
    reader = Reader(Output())
    try:
        capture = open_capture(io.BufferedReader(source))
        decoder = Decoder(settings.ports, DECODER_LIMITS, counts)
        reader.read(decoder.segments(capture))
    except NotACapture as exc:
        if source.stopped:
            return ExitCode.DONE
        raise UsageError(f"{name}: {exc}") from exc
    except ReaderGone:
        return ExitCode.DONE
    damage = None if source.stopped else capture.damage
    if damage is not None or not settings.quiet:
        say(f"{name}: {_damage(damage)}{reader.account(counts)}")
    for defect in reader.defects:
        say(f"{name}: defect: {defect}")
    return ExitCode.INTERNAL if reader.defects else ExitCode.DONE


class Reader:
    """Segments in, lines out, in the order of each flow's requests."""

    def __init__(self, output: Output) -> None:
        """Nothing was read yet."""
        self._output = output
        self._line = LineFormatter().line
        # Answered, and the request still goes on: at most one a flow, since a flow's next request
        # begins behind it.
        self._early: set[Exchange] = set()
        self._flows = 0
        self._exchanges = 0
        self.defects: list[str] = []
        self.assembler = Assembler(
            FLOW_LIMITS, HTTP_LIMITS, SegmentCounts(), RequestCounts(), ExchangeCounts()
        )

    def read(self, segments: Iterable[Segment]) -> None:
        """To the end; raises as Output."""
        push = self.assembler.push
        clock = CaptureClock()
        low = high = 0
        for segment in segments:
            try:
                events = push(segment)
            except Exception as exc:  # noqa: BLE001 - a defect costs one segment, not the rest
                self.defects.append(f"{type(exc).__name__}: {exc}"[:_DEFECT_CHARACTERS])
                del self.defects[_DEFECTS_MAX:]
                continue
            if events:
                self._handle(events)
            if not low <= segment[0] < high:
                if clock.step(segment[0]):
                    self._handle(self.assembler.expire(clock.now))
                    self._output.flush()  # somebody may be looking on
                low, high = clock.low, clock.high
        end = clock.now
        self._handle(self.assembler.expire(end + FLOW_LIMITS.hold_ns))
        self._handle(self.assembler.close(Unanswered.DRAINED, end))
        self._output.flush()

    def account(self, counts: PacketCounts) -> str:
        """How much was read, and by name what was not."""
        ledger = observed(self.assembler, counts.copied)
        packets = Packets.from_dict(counts.as_dict(), "packets")
        ledger = ledger.with_kernel(packets, in_ring=0, lost_starts=0)
        said = f"{_many(self._exchanges, 'exchange')} of {_many(self._flows, 'flow')}"
        for title, names in (("lost", losses(ledger)), ("left out", left_out(ledger))):
            if names:
                said += f"; {title}: " + ", ".join(f"{name} {n:,}" for name, n in names.items())
        return said

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is ExchangeEnded:
                exchange = event.exchange
                if exchange.request_outcome is not None:
                    self._print(exchange)
                else:
                    self._early.add(exchange)
            elif type(event) is RequestEnded:
                if self._early and event.exchange in self._early:
                    self._early.discard(event.exchange)
                    self._print(event.exchange)
            elif type(event) is FlowClosed:
                self._flows += 1
                if not self._flows % _SWEEP_EVERY:
                    self.assembler.budget.sweep(0)

    def _print(self, exchange: Exchange) -> None:
        self._exchanges += 1
        self._output.write(self._line(exchange))


def stopper(source: Input) -> Callable[[int, FrameType | None], None]:
    """A signal's handler: the input ends here."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)  # a second one ends us at once
        source.stop()

    return stop


def _damage(damage: str | None) -> str:
    return "" if damage is None else f"damaged, read up to there: {damage}; "


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")
