"""What keeps a selftest from starting, and what it withholds; the whole is in differential/."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from shadow_agent.errors import HostError
from shadow_agent.flow.segment import ACK, SYN, Segment
from shadow_agent.kernel.features import Finding
from shadow_agent.selftest import run

FEATURES = "shadow_agent.selftest.run.features.findings"


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says who could."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="root"):
        run.check_host()


def test_no_tun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names the device."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(HostError, match="modprobe tun"):
        run.check_host(tmp_path / "tun")


def test_no_bpf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first no of doctor, with its fix; a warning is none."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = [Finding("btf", None, "none"), Finding("ring buffer", False, "no", "boot another")]
    monkeypatch.setattr(FEATURES, lambda: found)
    with pytest.raises(HostError, match="ring buffer: no; boot another"):
        run.check_host(tmp_path)
    monkeypatch.setattr(FEATURES, lambda: found[:1])
    run.check_host(tmp_path)


def test_too_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before a namespace is made: accepting a connection would wait for ever."""

    def refuse(_: int, pair: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(run, "check_host", lambda: None)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 60))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    with pytest.raises(HostError, match=r"may open 60 files, .* needs 512; raise the hard limit"):
        run.run(1, 1)


def test_withhold() -> None:
    """A seeded share of the segments; never a SYN."""
    segments = [
        Segment(n, b"", 0, n, 0, SYN if n % 10 == 0 else ACK, b"", 0, True) for n in range(1000)
    ]
    kept = run.withhold(segments, 0.5, 3)
    assert kept == run.withhold(segments, 0.5, 3)
    assert 400 < len(kept) < 700
    assert sum(one.flags & SYN > 0 for one in kept) == 100
