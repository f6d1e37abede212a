"""What is kept of messages, loaded only when it is asked for: the libraries cost 120 ms, 16 MB."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from shadow_agent.config import Config
from shadow_agent.daemon.mirror import Mirror
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.daemon.settings import WorkerSettings
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.reasons import EvidenceLost

if TYPE_CHECKING:
    from shadow_agent.daemon.evidence import EvidenceSettings
    from shadow_agent.daemon.written import WriteSettings


class Kept(NamedTuple):
    """For workers: what each is told; None is not asked for."""

    evidence: EvidenceSettings | None = None
    write: WriteSettings | None = None

    def counts(self) -> dict[str, Any]:
        """What was kept and lost, for the summary; empty if nothing was asked for."""
        asked = {"evidence": self.evidence, "written": self.write}
        return {name: one.page.as_dict() for name, one in asked.items() if one is not None}

    def finish(self, ledger: Ledger) -> str | None:
        """Once no worker writes any more; what went wrong, in one line."""
        if self.write is None:
            return None
        from shadow_agent.daemon.written import finish_file  # noqa: PLC0415 - see above

        try:
            finish_file(self.write, ledger)
        except OSError as exc:
            return f"--write: its statistics are not written: {exc.strerror}"
        return None


class FullDisk:
    """Watches for what is not kept any more, and says it once."""

    def __init__(self, kept: Kept, say: Callable[[str], None]) -> None:
        """``say`` is told in one line."""
        self._kept = kept
        self._say = say
        self._said: set[str] = set()

    def tick(self, now: float) -> None:
        """See Watch."""
        for name, counts in self._kept.counts().items():
            if EvidenceLost.DISK in counts["lost"] and name not in self._said:
                self._said.add(name)
                self._say(
                    f"{name}: the disk is full or failed; the worker that met it keeps nothing "
                    "more in this run, and counts that; mirroring goes on"
                )


def open_kept(config: Config, folder: RunFolder) -> Kept:
    """For the supervisor. Raises UsageError."""
    evidence = write = None
    if config.privacy.evidence:
        from shadow_agent.daemon.evidence import open_evidence  # noqa: PLC0415 - see above

        evidence = open_evidence(config, folder.path, folder.run_id)
    if config.write is not None:
        from shadow_agent.daemon.written import open_file  # noqa: PLC0415 - see above

        write = open_file(config, config.write)
    return Kept(evidence, write)


def kept_fds(settings: WorkerSettings) -> set[int]:
    """What a worker must not close."""
    fds = set() if settings.evidence is None else {settings.evidence.fds[settings.shard]}
    return fds if settings.write is None else fds | {settings.write.fd}


def keep(
    settings: WorkerSettings, mirror: Mirror, complain: Callable[[Exception], None]
) -> Callable[[], None]:
    """For a worker: it keeps from now on, until what is returned is called."""
    closing = []
    # what is imported here was loaded by the supervisor, before the fork
    if settings.evidence is not None:
        from shadow_agent.daemon.evidence import EvidenceSink  # noqa: PLC0415

        sink = EvidenceSink(settings.evidence, settings.shard, complain)
        mirror.on_compared = sink.take
        closing.append(sink.close)
    if settings.write is not None:
        from shadow_agent.daemon.written import WriteSink  # noqa: PLC0415

        written = WriteSink(settings.write, settings.shard, complain)
        mirror.on_ended, mirror.on_closed = written.ended, written.closed
        closing.append(written.close)

    def close() -> None:
        for one in closing:
            one()

    return close
