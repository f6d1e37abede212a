"""The worker's end of evidence: bounded, in a thread of its own, and never in the way."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_agent.compare.comparison import Comparison
from shadow_agent.daemon import evidence
from shadow_agent.daemon.backstage import EvidencePage
from shadow_agent.daemon.evidence import EvidenceSettings, EvidenceSink
from shadow_agent.policy.redact import RedactionRules
from shadow_agent.records.vault import Record, read_vault
from shadow_agent.telemetry.reasons import EvidenceLost, Outcome
from tests.unit.records.test_evidence import pair

KEY = b"k" * 32
SEEN = Comparison(Outcome.ANSWERED, 200, 200, False, None, None, None, None)


@pytest.fixture
def settings(tmp_path: Path) -> EvidenceSettings:
    """One worker's, with room for a few records."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    fd = os.open(tmp_path / "evidence-0.vault", flags, 0o600)
    return EvidenceSettings(
        (fd,), KEY, KEY, "run", RedactionRules(), 100_000, 1000.0, EvidencePage(1)
    )


@pytest.fixture
def complaints() -> list[Exception]:
    """Defects."""
    return []


@pytest.fixture
def sink(settings: EvidenceSettings, complaints: list[Exception]) -> Iterator[EvidenceSink]:
    """At work."""
    sink = EvidenceSink(settings, 0, complaints.append)
    yield sink
    sink.close()


def test_stored(tmp_path: Path, settings: EvidenceSettings, sink: EvidenceSink) -> None:
    """Pairs that differ, and only they."""
    sink.take(*pair(b"1", b"2"), SEEN)
    sink.take(*pair(b"1", b"1"), SEEN._replace(bodies_equal=True))
    sink.close()
    assert settings.page.as_dict() == {"stored": 1, "lost": {}}
    with (tmp_path / "evidence-0.vault").open("rb") as source:
        (one,) = read_vault(source, KEY, "run")
    assert isinstance(one, Record)
    assert b"hunter2" not in one.text


def test_full(settings: EvidenceSettings, complaints: list[Exception]) -> None:
    """The run's share is used up."""
    small = EvidenceSettings(
        settings.fds, KEY, KEY, "run", RedactionRules(), 1000, 1000.0, settings.page
    )
    sink = EvidenceSink(small, 0, complaints.append)
    for _ in range(5):
        sink.take(*pair(b"1", b"2"), SEEN)
    sink.close()
    counts = settings.page.as_dict()
    assert counts["stored"] + counts["lost"]["full"] == 5
    assert os.fstat(settings.fds[0]).st_size <= 1100


def test_rate(settings: EvidenceSettings, complaints: list[Exception]) -> None:
    """After a burst only so many."""
    slow = EvidenceSettings(
        settings.fds, KEY, KEY, "run", RedactionRules(), 100_000, 0.0001, settings.page
    )
    sink = EvidenceSink(slow, 0, complaints.append)
    sink.take(*pair(b"1", b"2"), SEEN)
    sink.close()
    assert settings.page.as_dict() == {"stored": 0, "lost": {"rate": 1}}


def test_a_full_disk(
    settings: EvidenceSettings, sink: EvidenceSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is tried, everything is counted."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sink._vault, "append", full)
    for _ in range(3):
        sink.take(*pair(b"1", b"2"), SEEN)
    sink.close()
    sink.take(*pair(b"1", b"2"), SEEN)
    assert settings.page.as_dict() == {"stored": 0, "lost": {"disk": 4}}


def test_a_slow_disk(
    settings: EvidenceSettings, sink: EvidenceSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking a pair waits for nothing; what finds no room to wait is counted."""
    go = threading.Event()
    monkeypatch.setattr(sink._vault, "append", lambda _: go.wait())
    for _ in range(evidence.WAITING + 10):
        sink.take(*pair(b"1", b"2"), SEEN)
    slow = settings.page.as_dict()["lost"]["slow"]
    assert 9 <= slow <= 10  # one may be in hand
    go.set()
    sink.close()
    assert settings.page.as_dict()["stored"] == evidence.WAITING + 10 - slow


def test_a_defect(
    settings: EvidenceSettings,
    sink: EvidenceSink,
    complaints: list[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Costs one record and is told."""

    def broken(*_: object) -> bytes:
        raise RuntimeError("defect")

    monkeypatch.setattr(evidence, "evidence", broken)
    sink.take(*pair(b"1", b"2"), SEEN)
    sink.close()
    assert settings.page.as_dict() == {"stored": 0, "lost": {"internal": 1}}
    assert [str(one) for one in complaints] == ["defect"]


def test_the_page_is_shared() -> None:
    """Over a fork, and beyond the child's death; rows are summed."""
    page = EvidencePage(2)
    page.add(0, None)
    pid = os.fork()
    if pid == 0:
        page.add(1, None)
        page.add(1, EvidenceLost.RATE)
        os._exit(0)
    os.waitpid(pid, 0)
    assert page.as_dict() == {"stored": 2, "lost": {"rate": 1}}
