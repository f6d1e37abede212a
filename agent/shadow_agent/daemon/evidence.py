"""Evidence of a run: who opens its files and who writes them.

The supervisor reads the keys and opens a file per worker before it forks. The worker redacts,
encrypts and appends, in a thread of its own: a disk that is slow or full costs evidence, by name,
and never the mirror. Nobody but the worker sees what is in a message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shadow_agent.compare.comparison import Comparison
from shadow_agent.config import Config
from shadow_agent.daemon.backstage import Backstage, EvidencePage
from shadow_agent.daemon.retention import SUFFIX
from shadow_agent.errors import UsageError
from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.redact import RedactionRules, Redactor
from shadow_agent.records.evidence import differs, evidence
from shadow_agent.records.keys import evidence_key, redaction_key
from shadow_agent.records.vault import MAX_RECORD, VaultWriter
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import EvidenceLost

# Pairs that wait for the disk, each of 32 KiB of bodies at most. Over it: lost.slow.
WAITING: Final = 64
# How many seconds' worth of pairs may come at once.
_BURST_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What a worker is told. Keys are in memory only."""

    fds: tuple[int, ...]  # a file per worker, O_APPEND and O_WRONLY
    key: bytes
    redaction_key: bytes
    run_id: str
    rules: RedactionRules
    max_bytes: int  # per worker
    max_rate: float
    page: EvidencePage


def open_evidence(config: Config, folder: Path, run_id: str) -> EvidenceSettings:
    """Read the keys and open the files. Raises UsageError."""
    privacy = config.privacy
    key = evidence_key(privacy.key_file, config.data_dir)
    tokens = redaction_key(config.data_dir)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fds = []
    for shard in range(config.workers):
        path = folder / f"evidence-{shard}{SUFFIX}"
        try:
            fds.append(os.open(path, flags, 0o600))
        except OSError as exc:
            raise UsageError(f"{path}: {exc.strerror}", "make space, or give --data-dir") from exc
    return EvidenceSettings(
        fds=tuple(fds),
        key=key,
        redaction_key=tokens,
        run_id=run_id,
        rules=privacy.rules(),
        max_bytes=max(privacy.max_run_bytes // config.workers, 1),
        max_rate=privacy.max_rate,
        page=EvidencePage(config.workers),
    )


class EvidenceSink:
    """The worker's end: takes pairs that differ, at no more cost than a queue's."""

    def __init__(
        self, settings: EvidenceSettings, worker: int, complain: Callable[[Exception], None]
    ) -> None:
        """Starts the thread; after privileges were dropped."""
        self._settings = settings
        self._redactor = Redactor(settings.redaction_key, settings.rules)
        self._vault = VaultWriter(settings.fds[worker], settings.key, settings.run_id)
        self._tokens = settings.max_rate * _BURST_S
        self._filled = time.monotonic()
        self._backstage: Backstage[tuple[Exchange, Reply, Comparison, str]] = Backstage(
            "evidence", WAITING, self._store, settings.page, worker, complain
        )
        self.close = self._backstage.close

    def take(self, exchange: Exchange, reply: Reply, seen: Comparison) -> None:
        """A compared pair; kept if it differs and there is room."""
        if not differs(seen):
            return
        now = time.monotonic()
        rate = self._settings.max_rate
        self._tokens = min(self._tokens + (now - self._filled) * rate, rate * _BURST_S)
        self._filled = now
        if self._tokens < 1:
            self._backstage.count(EvidenceLost.RATE)
        else:
            self._tokens -= 1
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._backstage.put((exchange, reply, seen, at))

    def _store(self, one: tuple[Exchange, Reply, Comparison, str]) -> EvidenceLost | None:
        text = evidence(self._redactor, *one)
        if self._vault.size() + len(text) > self._settings.max_bytes:
            return EvidenceLost.FULL
        if len(text) > MAX_RECORD:
            return EvidenceLost.TOO_LARGE
        self._vault.append(text)
        return None
