"""Which files of evidence there are, and when the oldest go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shadow_agent.config import Config

SUFFIX: Final = ".vault"
_EVERY_S: Final = 600.0


class Retention:
    """Removes evidence that is too old or too much, whole files, the oldest first."""

    def __init__(self, config: Config, run: Path, say: Callable[[str], None]) -> None:
        """``run``: this run's folder, whose files stay."""
        self._folder = config.data_dir
        self._privacy = config.privacy
        self._run = run
        self._say = say
        self._next = 0.0

    def tick(self, now: float) -> None:
        """Every ten minutes."""
        if now >= self._next:
            self._next = now + _EVERY_S
            for path in expired(
                self._folder, time.time(), self._privacy.keep_s, self._privacy.keep_bytes
            ):
                if path.parent == self._run:
                    continue
                try:
                    path.unlink()
                    self._say(f"removed evidence past its time or size: {path}")
                except OSError as exc:
                    self._say(f"{path}: not removed: {exc.strerror}")


def vaults(data_dir: Path) -> list[Path]:
    """Every file of evidence in a data directory, by path."""
    return sorted(data_dir.glob(f"*/*/evidence-*{SUFFIX}"))


def expired(data_dir: Path, now: float, keep_s: float, keep_bytes: int) -> list[Path]:
    """Files whose last record is too old, and the oldest beyond the size. ``now``: epoch s."""
    found = []
    for path in vaults(data_dir):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    gone = []
    total = 0
    for written, size, path in sorted(found, reverse=True):
        total += size
        if now - written > keep_s or total > keep_bytes:
            gone.append(path)
    return gone
