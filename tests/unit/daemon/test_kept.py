"""Evidence is loaded only when it is asked for."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from shadow_agent.config import Config, Privacy, ShadowUrl
from shadow_agent.daemon.kept import FullDisk, Kept, keep, kept_fds, open_kept
from shadow_agent.daemon.mirror import Mirror
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.daemon.settings import WorkerSettings
from shadow_agent.telemetry.ledger import Ledger


def config(tmp_path: Path, privacy: Privacy) -> Config:
    """An attachment's."""
    return Config(
        interfaces=("eth0",),
        ports=(80,),
        shadow=ShadowUrl("s", 80),
        target="web",
        workers=2,
        data_dir=tmp_path / "data",
        privacy=privacy,
    )


def test_not_asked_for(tmp_path: Path) -> None:
    """No file, no key, no sink."""
    made = config(tmp_path, Privacy())
    folder = RunFolder.create(made)
    assert open_kept(made, folder) == (None, None)
    assert open_kept(made, folder).counts() == {}
    assert list(folder.path.iterdir()) == []
    mirror = SimpleNamespace(on_compared=None)
    settings = cast(WorkerSettings, SimpleNamespace(evidence=None, write=None))
    keep(settings, cast(Mirror, mirror), print)()
    assert mirror.on_compared is None


def test_asked_for(tmp_path: Path) -> None:
    """A file per worker, 0600 and only to be appended to; a sink that the mirror calls."""
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_bytes(b"k" * 32)
    made = config(tmp_path, Privacy(evidence=True, key_file=key))
    folder = RunFolder.create(made)
    kept = open_kept(made, folder).evidence
    assert kept is not None
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == ["evidence-0.vault", "evidence-1.vault"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.path.iterdir())
    assert kept.max_bytes == made.privacy.max_run_bytes // 2
    mirror = SimpleNamespace(on_compared=None)
    settings = cast(WorkerSettings, SimpleNamespace(evidence=kept, write=None, shard=1))
    close = keep(settings, cast(Mirror, mirror), print)
    assert mirror.on_compared is not None
    assert kept_fds(settings) == {kept.fds[1]}
    assert "evidence" in {thread.name for thread in threading.enumerate()}
    close()
    assert "evidence" not in {thread.name for thread in threading.enumerate()}
    for fd in kept.fds:
        os.close(fd)


def test_a_full_disk_is_said_once() -> None:
    """Of each thing that is kept; what is lost otherwise is counted only."""
    said: list[str] = []
    lost = {"rate": 3}
    page = SimpleNamespace(as_dict=lambda: {"stored": 1, "lost": lost})
    watch = FullDisk(Kept(cast(Any, SimpleNamespace(page=page))), said.append)
    watch.tick(0.0)
    assert said == []
    lost["disk"] = 1
    watch.tick(0.25)
    watch.tick(0.5)
    assert len(said) == 1
    assert said[0].startswith("evidence: the disk is full or failed")


def test_a_file_without_its_statistics_is_told(tmp_path: Path) -> None:
    """Whoever opens it finds no drops counted in it."""
    made = replace(config(tmp_path, Privacy()), write=tmp_path / "x.pcapng")
    folder = RunFolder.create(made)
    kept = open_kept(made, folder)
    assert kept.write is not None
    assert kept.finish(Ledger()) is None
    os.close(kept.write.statistics[0])
    assert kept.finish(Ledger()) == "--write: its statistics are not written: Bad file descriptor"
    os.close(kept.write.fd)
