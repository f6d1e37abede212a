"""The file of `attach --write`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadow_agent.config import Config, ShadowUrl
from shadow_agent.daemon.written import WriteSettings, WriteSink, finish_file, open_file
from shadow_agent.errors import UsageError
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.reasons import EvidenceLost
from tests.unit.records.test_evidence import pair
from tests.unit.records.test_pcapng import blocks


def opened(tmp_path: Path, limit: int = 1 << 20) -> WriteSettings:
    """A new file's."""
    return open_file(
        Config(
            interfaces=("eth0",),
            ports=(80,),
            shadow=ShadowUrl("s", 80),
            target="web",
            data_dir=tmp_path,
            write_limit=limit,
        ),
        tmp_path / "out.pcapng",
    )


def test_exchanges_and_statistics(tmp_path: Path) -> None:
    """Start, statistics, frames; nothing secret; 0600."""
    settings = opened(tmp_path)
    sink = WriteSink(settings, 0, print)
    exchange, _ = pair(b'{"m":"a@b.example"}', b"")
    exchange.request_ended_ts = 600
    exchange.response_first_ts, exchange.response_last_ts = 700, 800
    sink.ended(exchange)
    sink.closed(exchange.flow_key)
    sink.close()
    finish_file(settings, Ledger())
    path = tmp_path / "out.pcapng"
    data = path.read_bytes()
    assert [kind for kind, _ in blocks(data)] == [0x0A0D0D0A, 1, 5, *([6] * 8)]
    assert b"a@b" not in data
    assert b"hunter2" not in data
    assert b"~email." in data
    assert path.stat().st_mode & 0o777 == 0o600
    assert settings.page.as_dict() == {"stored": 1, "lost": {}}


def test_the_limit(tmp_path: Path) -> None:
    """The first exchange that does not fit ends the file; flows' ends are not counted."""
    settings = opened(tmp_path, limit=2000)
    size = os.fstat(settings.fd).st_size
    assert size < 2000
    sink = WriteSink(settings, 0, print)
    for _ in range(4):
        exchange, _ = pair(b"1" * 900, b"")
        exchange.response_first_ts = 700
        sink.ended(exchange)
        sink.closed(exchange.flow_key)
    sink.close()
    counts = settings.page.as_dict()
    assert counts["lost"]["full"] >= 3
    assert counts["stored"] + counts["lost"]["full"] == 4
    assert os.fstat(settings.fd).st_size <= 2000


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is counted, also in the file; nothing is written behind what may be torn."""
    settings = opened(tmp_path)
    path = tmp_path / "out.pcapng"
    assert b"what is missing here is not known" in path.read_bytes()
    sink = WriteSink(settings, 0, print)
    monkeypatch.setattr(os, "write", lambda *_: 1)
    exchange, _ = pair(b"1", b"")
    sink.ended(exchange)
    sink.closed(exchange.flow_key)
    sink.close()
    sink.closed(exchange.flow_key)
    monkeypatch.undo()
    assert settings.page.as_dict() == {"stored": 0, "lost": {EvidenceLost.DISK.value: 1}}
    before = path.read_bytes()
    finish_file(settings, Ledger())
    after = path.read_bytes()
    assert len(after) == len(before)
    assert b"not written: disk=1" in after
    assert b"not known" not in after


def test_what_is_refused(tmp_path: Path) -> None:
    """A file that is there, a folder that is not."""
    opened(tmp_path)
    with pytest.raises(UsageError, match="is there already"):
        opened(tmp_path)
    (tmp_path / "out.pcapng").unlink()
    (tmp_path / "out.pcapng").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="--write"):
        opened(tmp_path)
