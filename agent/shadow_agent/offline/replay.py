"""``replay``: a capture's requests to a shadow, compared with the answers in the capture."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import time
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import uvloop
from rich.console import Console

from shadow_agent import __version__
from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder, DecoderLimits
from shadow_agent.capture.file import CaptureFile, NotACapture, open_capture
from shadow_agent.config import Config
from shadow_agent.config.identity import cautions
from shadow_agent.daemon.log import open_log
from shadow_agent.daemon.process import allow_files
from shadow_agent.daemon.rundir import new_run_id
from shadow_agent.daemon.seccomp import Profile, open_sandbox
from shadow_agent.daemon.shadow import resolve, trouble_with
from shadow_agent.daemon.show import show
from shadow_agent.daemon.writes import warnings_of
from shadow_agent.errors import ExitCode, HostError, ShadowUnreachable, UsageError
from shadow_agent.flow.segment import Segment, flow_key
from shadow_agent.offline.input import Input, open_input
from shadow_agent.offline.player import Player
from shadow_agent.offline.privileges import become_unprivileged
from shadow_agent.replay.sockets import Endpoint
from shadow_agent.telemetry.cost import cost_of
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.lines import Packets, Pairs
from shadow_agent.telemetry.progress import Progress
from shadow_agent.telemetry.reasons import Uncomparable
from shadow_agent.telemetry.run import Run, State
from shadow_agent.telemetry.summary import render_summary, summary_json
from shadow_agent.telemetry.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

# Files beside one per shadow connection.
_SPARE_FILES: Final = 64
_DISCARD_PORT: Final = 9
# Packets between two turns of the loop: a millisecond at most.
_FRAMES: Final = 256


def run(config: Config, path: str) -> ExitCode:
    """Replay, compare, summarise. Raises OperatorError."""
    source = open_input(path, regular=True)
    endpoint, local = find_shadow(config)
    allow_files(config.limits.max_connections + _SPARE_FILES)
    with open_log() as log:
        console = Console(file=log)
        _rehearse()
        sandbox = open_sandbox(config.seccomp, (Profile.WORKER,))
        become_unprivileged(config.user)
        # before the loop is made: where it may, libuv gets an io_uring, which no filter sees into
        sandbox.load(Profile.WORKER)
        loop = uvloop.new_event_loop()
        try:
            capture = open_capture(io.BufferedReader(source))
        except NotACapture as exc:
            raise UsageError(f"{path}: {exc}") from exc
        replaying = Replaying(config, path, capture, console)
        for warning in warnings_of(config):
            replaying.say(warning)
        if not config.dry_run:
            replaying.try_shadow(endpoint)
        try:
            replaying.play(endpoint, b"" if local else endpoint.key, loop, source)
        finally:
            loop.close()
    try:
        show(replaying.summary(drained=True), json=config.json)
    except OSError as exc:
        raise UsageError(f"standard output: {exc.strerror}") from exc
    return ExitCode.DONE


def find_shadow(config: Config) -> tuple[Endpoint, bool]:
    """Where the shadow is, and whether on this host. Raises UsageError and HostError."""
    interface = config.shadow_interface
    if interface is not None:
        try:
            socket.if_nametoindex(interface)
        except OSError as exc:
            raise HostError(
                f"--shadow-iface {interface}: no such interface here", "`ip link` lists them"
            ) from exc
    family, sockaddr, address = resolve(config.shadow)
    key = flow_key(str(address), 0, str(address), 0)[:16]
    return Endpoint(family, sockaddr, key, config.shadow.port, interface), _is_ours(address)


def _is_ours(address: IPv4Address | IPv6Address) -> bool:
    """Whether packets to it would not leave this host: they would come from itself."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), _DISCARD_PORT))  # sends nothing
        except OSError:
            return False
        return str(probe.getsockname()[0]).partition("%")[0] == str(address).partition("%")[0]


class Replaying:
    """One replay of one capture, from its first frame to its summary."""

    def __init__(self, config: Config, path: str, capture: CaptureFile, console: Console) -> None:
        """Nothing was read but the file's header."""
        self._config = config
        self._path = path
        self._console = console
        self._capture = capture
        self._counts = PacketCounts()
        self._decoder = Decoder(frozenset(config.ports), DecoderLimits(), self._counts)
        self._player: Player | None = None
        self._progress: Progress | None = None
        self._began = time.monotonic()
        self._run = Run(
            version=__version__,
            target=config.target,
            shadow=str(config.shadow),
            run_id=new_run_id(),
            builds={"production": config.production_build, "shadow": config.shadow_build},
            epoch=1,
            loader="file",
            rules=tuple((rule.name, str(rule.action)) for rule in config.rules),
            unguarded=config.unguarded,
            dry_run=config.dry_run,
        )

    def try_shadow(self, endpoint: Endpoint) -> None:
        """Say if it does not answer. Raises ShadowUnreachable when that was ruled out."""
        trouble = trouble_with(endpoint)
        if trouble is None:
            return
        if self._config.require_shadow:
            raise ShadowUnreachable(
                f"shadow {self._config.shadow}: {trouble}",
                "start it, or leave out --require-shadow",
            )
        self.say(f"shadow {self._config.shadow} does not answer yet: {trouble}")

    def play(
        self,
        endpoint: Endpoint,
        loop_address: bytes,
        loop: asyncio.AbstractEventLoop,
        source: Input | None = None,
    ) -> None:
        """To the end of the file, or until a signal; ``source`` is what the capture reads."""
        player = self._player = Player(
            self._config, endpoint, loop_address, loop, self.say, self._show, self._run.run_id
        )
        for caution in cautions(self._config.identity, shared_sessions=False):
            self.say(caution)
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # or else nohup was meant
            numbers.append(signal.SIGHUP)
        # Not the loop's own handlers: uvloop loses what comes before it runs.
        stop = _stopper(loop, player, source)
        before = [(number, signal.signal(number, stop)) for number in numbers]
        segments = _generated(self._decoder, self._capture)
        try:
            with Progress(self._console, self._run) as self._progress:
                player.run(segments)
        finally:
            for number, handler in before:
                signal.signal(number, handler)
        segments.close()  # the counts are complete only then
        if source is not None and source.stopped:
            self._capture.damage = None
        if self._capture.damage is not None:
            self.say(f"{self._path}: damaged, read up to there: {self._capture.damage}")

    def summary(self, *, drained: bool = False) -> dict[str, Any]:
        """The object of ``attach --json``, and what is said of a capture besides."""
        if self._player is None:
            raise RuntimeError("nothing was played")
        ledger = self._ledger(self._player)
        speed = self._config.speed
        return {
            **summary_json(
                self._run,
                ledger,
                self._player.tally.snapshot(ledger, rules=self._player.mirror.rules),
                duration_s=time.monotonic() - self._began,
                cost=cost_of(os.getpid(), ()),
                drained=drained,
                ended=self._player.stopped if drained else None,
            ),
            "clock": "user",
            "capture": {
                "file": os.fsencode(self._path).decode("utf-8", "replace"),
                "damage": self._capture.damage,
                "speed": "max" if speed == float("inf") else speed,
            },
        }

    def _ledger(self, player: Player) -> Ledger:
        """What was decoded and not taken when somebody said stop is ``packets.paused``."""
        ledger = player.mirror.ledger()
        read = ledger.records.read
        counted = {**self._counts.as_dict(), "copied": read}
        counted["paused"] = max(self._counts.copied - read, 0)
        packets = Packets.from_dict(counted, "packets")
        return ledger.with_kernel(packets, in_ring=0, lost_starts=0)

    def _show(self) -> None:
        if self._player is None or self._progress is None:
            return
        ledger = self._player.mirror.ledger()
        snapshot = self._player.tally.snapshot(ledger, with_endpoints=False)
        self._progress.update(time.monotonic(), ledger, snapshot, State())

    def say(self, text: str) -> None:
        """A line for the operator."""
        self._console.print(f"shadow-agent: {text}", markup=False, highlight=False, soft_wrap=True)


def _stopper(
    loop: asyncio.AbstractEventLoop, player: Player, source: Input | None
) -> Callable[[int, FrameType | None], None]:
    """A signal's handler. The second time it ends the file too: the next segment may be far."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        loop.call_soon_threadsafe(player.stop, signal.Signals(number).name)
        if asked and source is not None:
            source.stop()
        asked = True

    return stop


def _rehearse() -> None:
    """Show a summary to nobody: rich imports as it goes, and may not be able to any more later."""
    tally = Tally()
    tally.add("GET", b"/", 200, 500, bodies_equal=False, production_first_us=1.0)
    ledger = Ledger(pairs=Pairs(replayed=2, compared=1, uncomparable={Uncomparable.DRAINED: 1}))
    run = Run(version="", target="", shadow="", run_id="")
    cost = cost_of(os.getpid(), ())
    summary = summary_json(run, ledger, tally.snapshot(ledger), duration_s=0.0, cost=cost)
    Console(file=io.StringIO()).print(render_summary(summary))
    Console(file=io.StringIO(), force_terminal=True).print(render_summary(summary))


def _generated(decoder: Decoder, capture: CaptureFile) -> Generator[Segment | None]:
    """Its segments, and None after some packets, so that answers are not kept waiting."""
    frames = iter(capture)
    while some := list(islice(frames, _FRAMES)):
        yield from decoder.segments(some)
        yield None
