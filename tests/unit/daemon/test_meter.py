"""What the tap costs, of programs on paper."""

from __future__ import annotations

import os

from shadow_agent.daemon.meter import BpfMeter
from shadow_agent.kernel.bpf import ProgramInfo
from shadow_agent.telemetry.run import BpfCost


class Kernel:
    """Two programs that run while somebody counts."""

    def __init__(self) -> None:
        """Nothing ran."""
        self.ran = 0
        self.fds: list[int] = []

    def enable(self) -> int:
        """An fd, as the kernel's."""
        self.fds.append(os.open("/dev/null", os.O_RDONLY))
        return self.fds[-1]

    def programs(self) -> dict[str, ProgramInfo]:
        """100 ns each for production's packets, 900 for the shadow's; more of them each time."""
        self.ran += 10
        return {
            "tap_ingress": ProgramInfo(1, "a", 100 * self.ran, self.ran),
            "tap_egress": ProgramInfo(2, "b", 100 * self.ran, self.ran),
            "shadow_egress": ProgramInfo(3, "c", 900 * self.ran, self.ran),
        }


def is_open(fd: int) -> bool:
    """Whether this process has it."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_it_counts_in_windows() -> None:
    """One tick long, the first after a second, then as often as told; production's side only."""
    kernel = Kernel()
    meter = BpfMeter(kernel.programs, 10, kernel.enable)
    counting = []
    for quarter in range(4 * 23):
        meter.tick(quarter / 4)
        if kernel.fds and is_open(kernel.fds[-1]):
            counting.append(quarter / 4)
    assert counting == [1.0, 11.0, 21.0]
    assert meter.cost == BpfCost(run_time_ns=3 * 2000, packets=3 * 20, seconds=0.75)
    assert meter.cost.ns_per_packet == 100


def test_off_is_off() -> None:
    """With 0 the kernel is never asked to count."""
    kernel = Kernel()
    meter = BpfMeter(kernel.programs, 0, kernel.enable)
    for now in range(100):
        meter.tick(now)
    assert (kernel.fds, meter.cost) == ([], None)


def test_a_kernel_that_does_not_count() -> None:
    """Is asked once, and the cost stays unknown."""
    asked = []

    def refuse() -> int:
        asked.append(1)
        raise PermissionError(1, "bpf ENABLE_STATS: Operation not permitted")

    meter = BpfMeter(Kernel().programs, 1, refuse)
    for now in range(10):
        meter.tick(now)
    assert (len(asked), meter.cost) == (1, None)


def test_closed_in_the_middle() -> None:
    """An open window is not left behind: it would slow every BPF program on the host."""
    kernel = Kernel()
    meter = BpfMeter(kernel.programs, 10, kernel.enable)
    meter.tick(0)
    meter.tick(1)
    assert is_open(kernel.fds[0])
    meter.close()
    assert not is_open(kernel.fds[0])
