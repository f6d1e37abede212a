"""The host's own figures, of a /proc on paper and of this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.daemon.vitals import Host, Vitals, total_memory


def write(proc: Path, busy: int, idle: int, available: int, stalled: int) -> None:
    """One state of a host with 1000 kB of memory."""
    (proc / "pressure").mkdir(exist_ok=True)
    (proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 77 0\ncpu0 1 2 3\n")
    (proc / "meminfo").write_text(f"MemTotal: 1000 kB\nMemAvailable: {available} kB\n")
    line = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={stalled}\nfull avg10=0 total=9\n"
    for name in ("cpu", "memory"):
        (proc / "pressure" / name).write_text(line)


def test_shares_since_the_last_look(tmp_path: Path) -> None:
    """The first look knows no rates; memory is what it is."""
    host = Host(tmp_path)
    write(tmp_path, busy=100, idle=900, available=400, stalled=1_000_000)
    assert host.look(10.0) == Vitals(None, 0.4, None, None)
    write(tmp_path, busy=175, idle=925, available=100, stalled=1_500_000)
    found = host.look(12.0)
    assert tuple(found) == pytest.approx((0.75, 0.1, 0.25, 0.25))


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    """A kernel without PSI, a /proc that is not there, nonsense in it."""
    assert Host(tmp_path).look(0.0) == Vitals(None, None, None, None)
    write(tmp_path, 1, 1, 1, 1)
    (tmp_path / "stat").write_text("cpu x\n")
    (tmp_path / "meminfo").write_text("MemTotal:\n")
    (tmp_path / "pressure" / "cpu").write_text("\n")
    assert Host(tmp_path).look(0.0) == Vitals(None, None, None, None)


def test_clocks_that_go_back(tmp_path: Path) -> None:
    """iowait does at times: shares stay shares."""
    host = Host(tmp_path)
    write(tmp_path, busy=100, idle=900, available=1, stalled=10)
    host.look(1.0)
    write(tmp_path, busy=160, idle=890, available=1, stalled=5)
    found = host.look(2.0)
    assert (found.cpu, found.cpu_pressure) == (1.0, 0.0)
    assert host.look(2.0)[2] is None


def test_of_this_host() -> None:
    """Memory is known on any Linux."""
    memory = Host().look(0.0).memory
    assert memory is not None
    assert 0 < memory <= 1
    assert total_memory() > 1 << 20
