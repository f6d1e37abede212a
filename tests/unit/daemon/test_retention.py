"""When evidence goes."""

from __future__ import annotations

import os
from pathlib import Path

from shadow_agent.config import Config, Privacy, ShadowUrl
from shadow_agent.daemon.retention import Retention, expired, vaults


def keep(data: Path, run: str, size: int, written: float) -> Path:
    """A file of a run."""
    path = data / "web" / run / "evidence-0.vault"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (written, written))
    return path


def test_by_age_and_size(tmp_path: Path) -> None:
    """What is too old, and the oldest beyond the size."""
    old = keep(tmp_path, "r1", 10, 100)
    middle = keep(tmp_path, "r2", 10, 500)
    new = keep(tmp_path, "r3", 10, 900)
    assert vaults(tmp_path) == [old, middle, new]
    assert expired(tmp_path, 1000, 2000, 100) == []
    assert expired(tmp_path, 1000, 600, 100) == [old]
    assert expired(tmp_path, 1000, 2000, 20) == [old]
    assert expired(tmp_path, 1000, 2000, 5) == [new, middle, old]


def test_a_run_keeps_its_own(tmp_path: Path) -> None:
    """Other files of the directory are left alone too; what goes is said."""
    old, mine = keep(tmp_path, "r1", 10, 100), keep(tmp_path, "r2", 10, 100)
    other = tmp_path / "web" / "r1" / "summary.json"
    other.write_text("{}")
    config = Config(
        interfaces=("eth0",),
        ports=(80,),
        shadow=ShadowUrl("s", 80),
        target="web",
        data_dir=tmp_path,
        privacy=Privacy(keep_s=1.0),
    )
    said: list[str] = []
    retention = Retention(config, mine.parent, said.append)
    retention.tick(0.0)
    assert not old.exists()
    assert mine.exists()
    assert other.exists()
    assert len(said) == 1
    keep(tmp_path, "r1", 10, 100)
    retention.tick(1.0)
    assert old.exists()  # looked at every ten minutes
    retention.tick(700.0)
    assert not old.exists()
