"""Watching an interface from outside the agent: a pcap by tcpdump, and packet counts by filter."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.testbed.host import Host
from tests.testbed.wait import NotYet, eventually

_KERNEL_BUFFER_KIB = 16384  # about 0.1 s of full rate with whole frames; drops are asserted zero

_CATCH_UP_S = 2.0


class Capture:
    """Context manager: captures ``interface`` of ``host`` from entry to exit into ``pcap``.

    ``expression`` is a pcap filter; ``snaplen`` bytes of each packet are kept (0: all).
    Counting is exact: leaving raises ``RuntimeError`` when tcpdump lost packets.
    """

    def __init__(
        self, host: Host, interface: str, expression: str = "", *, snaplen: int = 0
    ) -> None:
        self.host = host
        self.interface = interface
        self.expression = expression
        self.snaplen = snaplen
        self.pcap = host.directory / f"{len(host.processes):02d}-{host.role}-{interface}.pcap"

    def __enter__(self) -> Self:
        # -Z root: dropping to the tcpdump user would close the run's directory to it.
        # -U: written packet by packet, so that count() may look while the capture runs.
        self._process = self.host.spawn(
            *("tcpdump", "-n", "-U", "-Z", "root", "--immediate-mode"),
            *("-B", str(_KERNEL_BUFFER_KIB), "-s", str(self.snaplen)),
            *("-i", self.interface, "-w", self.pcap, self.expression),
            name=f"tcpdump-{self.interface}",
        )
        self._process.wait_output("listening on")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the capture; harmless when repeated."""
        if not self._process.running:
            return
        with contextlib.suppress(NotYet):  # traffic that never pauses cannot be caught up with
            eventually(self._caught_up, _CATCH_UP_S, f"{self.pcap.name}: caught up")
        self._process.stop(number=signal.SIGINT)
        lost = re.search(r"(\d+) packets? dropped by kernel", self._process.errors())
        if lost is None or int(lost.group(1)):
            raise RuntimeError(f"capture lost packets: {self._process.errors().strip()}")

    def _caught_up(self) -> bool:
        """Whether all that passed the filter is written: SIGINT would discard what is queued."""
        self._process.send(signal.SIGUSR1)  # tcpdump answers with its counts, a moment later
        counts = re.findall(r"(\d+) packets? captured, (\d+) packets? rec", self._process.errors())
        return bool(counts) and counts[-1][0] == counts[-1][1]

    def count(self, expression: str = "") -> int:
        """Packets captured so far that match ``expression`` (all of them when empty)."""
        return count(self.pcap, expression)


def count(pcap: Path, expression: str = "") -> int:
    """Packets of a capture file that match a pcap filter; raises CalledProcessError."""
    done = subprocess.run(
        ["tcpdump", "-n", "--count", "-r", str(pcap), expression],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = re.search(r"(\d+) packets?", done.stdout + done.stderr)
    if found is None:
        raise ValueError(f"not tcpdump's count: {done.stdout!r}")
    return int(found.group(1))
