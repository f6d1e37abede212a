"""``attach --write FILE.pcapng``: what was copied, after redaction, for Wireshark.

The supervisor opens the file and writes its start, with room for the statistics, which it fills in
when the run is over: that takes no space on a disk that may be full, and stands before what may be
torn. Each worker redacts what it has read and appends it, an exchange with one write, so that
workers share the file without a lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shadow_agent import __version__
from shadow_agent.config import Config
from shadow_agent.daemon.backstage import Backstage, EvidencePage
from shadow_agent.errors import UsageError
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead
from shadow_agent.policy.redact import RedactionRules, Redactor
from shadow_agent.records import pcapng
from shadow_agent.records.frames import Frame, Frames
from shadow_agent.records.keys import redaction_key
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.reasons import EvidenceLost

# Exchanges that wait for the disk, each of 32 KiB of bodies at most. Over it: lost.slow.
WAITING: Final = 512
_COMMENT: Final = (
    "HTTP messages mirrored by shadow-agent, after redaction: ~kind.token~ stands for a secret, "
    "equal tokens for equal values. Frames, sequence numbers, lengths and chunking are made anew; "
    "addresses, ports and times are production's. Bodies that could not be inspected are a token, "
    "and X-Shadow-Withheld says why. Bodies over 16 KiB or in several pieces are not kept."
)
_UNKNOWN: Final = "the agent was killed, or still runs: what is missing here is not known"


class _Message:
    """What the thread needs of one message; the exchange itself goes on changing."""

    __slots__ = ("body", "first", "head", "last")

    def __init__(
        self, head: RequestHead | ResponseHead, body: bytes | None, first: int, last: int
    ) -> None:
        self.head, self.body, self.first, self.last = head, body, first, last


_Work = tuple[bytes, list[_Message]]  # a flow's messages; none: it is over


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """What a worker is told."""

    fd: int  # O_APPEND and O_WRONLY, shared
    statistics: tuple[int, int]  # fd, the supervisor's own, and where they stand
    redaction_key: bytes
    rules: RedactionRules
    max_bytes: int
    epoch_ns: int  # to add to CLOCK_MONOTONIC
    page: EvidencePage


def open_file(config: Config, path: Path) -> WriteSettings:
    """Make the file, 0600, and write its start. Raises UsageError; a file there is not touched."""
    key = redaction_key(config.data_dir)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
        # what is written through the one above goes to the end, wherever it should
        again = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        name = ",".join(config.interfaces)
        start = pcapng.start(f"shadow-agent {__version__}", _COMMENT, name)
        os.write(fd, start + pcapng.statistics(time.time_ns(), _UNKNOWN))
    except FileExistsError as exc:
        raise UsageError(f"--write {path}: is there already", "name a new file") from exc
    except OSError as exc:
        raise UsageError(f"--write {path}: {exc.strerror}", "name a file that can be made") from exc
    return WriteSettings(
        fd=fd,
        statistics=(again, len(start)),
        redaction_key=key,
        rules=config.privacy.rules(),
        max_bytes=config.write_limit,
        epoch_ns=time.time_ns() - time.monotonic_ns(),
        page=EvidencePage(config.workers),
    )


def finish_file(settings: WriteSettings, ledger: Ledger) -> None:
    """The statistics, once no worker writes any more. Raises OSError."""
    counts = settings.page.as_dict()
    copied, lost = ledger.packets.copied, ledger.packets.ring_full
    reasons = " ".join(f"{name}={n}" for name, n in sorted(counts["lost"].items())) or "none"
    comment = (
        f"packets copied {copied}, lost on a full ring {lost}; exchanges written "
        f"{counts['stored']}, not written: {reasons}"
    )
    dropped = lost + sum(counts["lost"].values())
    fd, at = settings.statistics
    os.pwrite(fd, pcapng.statistics(time.time_ns(), comment, (copied + lost, dropped)), at)


class WriteSink:
    """The worker's end."""

    def __init__(
        self, settings: WriteSettings, worker: int, complain: Callable[[Exception], None]
    ) -> None:
        """Starts the thread; after privileges were dropped."""
        self._settings = settings
        self._redactor = Redactor(settings.redaction_key, settings.rules)
        self._frames = Frames()
        self._full = False
        self._backstage: Backstage[_Work] = Backstage(
            "write", WAITING, self._store, settings.page, worker, complain
        )
        self.close = self._backstage.close

    def ended(self, exchange: Exchange) -> None:
        """An exchange is as complete as it will be."""
        began = exchange.request_started_ts
        messages = [
            _Message(
                exchange.request,
                exchange.request_body,
                began,
                exchange.request_ended_ts or began,
            )
        ]
        if exchange.response is not None and exchange.response_first_ts is not None:
            first = exchange.response_first_ts
            last = exchange.response_last_ts or first
            messages.append(_Message(exchange.response, exchange.response_body, first, last))
        self._backstage.put((exchange.flow_key, messages))

    def closed(self, flow_key: bytes) -> None:
        """A flow is over."""
        self._backstage.put((flow_key, []), counts=False)

    def _store(self, work: _Work) -> EvidenceLost | None:
        key, messages = work
        if self._full:
            return EvidenceLost.FULL
        frames: list[Frame] = [] if messages else self._frames.end(key)
        for message in messages:
            head = message.head
            if isinstance(head, RequestHead):
                data = self._redactor.request(head, message.body).wire()
            else:
                data = self._redactor.response(head, message.body).wire()
            answer = isinstance(head, ResponseHead)
            frames += self._frames.message(key, message.first, message.last, data, answer=answer)
        epoch = self._settings.epoch_ns
        blocks = b"".join([pcapng.packet(at + epoch, frame) for at, frame in frames])
        fd = self._settings.fd
        if os.fstat(fd).st_size + len(blocks) > self._settings.max_bytes:
            self._full = True  # what comes later would have holes
            return EvidenceLost.FULL
        if blocks and os.write(fd, blocks) != len(blocks):
            raise OSError(28, "no space left for a whole exchange")
        return None
