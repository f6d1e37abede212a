"""``[gate]``: who may switch mirroring off and lower its share from outside, while it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shadow_agent.config import parse
from shadow_agent.config.key import Key, Section
from shadow_agent.config.values import unsaid

_PORT = re.compile(r"[0-9]{1,5}")
# as flagd, LaunchDarkly and others write them
_FLAG = re.compile(r"[A-Za-z0-9._/-]{1,128}")
_EXAMPLE: Final = "write off, file:/PATH, ofrep:http://HOST:PORT or flagd[s]:HOST:PORT"


@dataclass(frozen=True, slots=True)
class GateProvider:
    """Where flags are kept: ``where`` is a path, a URL or HOST:PORT.

    ``kind`` is off, file, ofrep, flagd or flagds (flagd over TLS).
    """

    kind: str
    where: str = ""

    def __str__(self) -> str:
        """As it is written, less a password."""
        return unsaid(f"{self.kind}:{self.where}") if self.where else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An OpenFeature gate. Times in seconds."""

    # The default file counts when it is there at the start; any other provider must answer.
    provider: GateProvider = GateProvider("file", "/etc/shadow-agent/flags.json")
    # A boolean flag: off stops mirroring in the kernel.
    enabled: str = "shadow.enabled"
    # A number, 0 to 1: the share of flows, where it is below `sample`. A flag that is not there
    # says nothing.
    sample: str = "shadow.sample"
    # PEM certificates of who may have signed flagd's; None: those that gRPC brings.
    ca_file: Path | None = None
    poll_s: float = 5.0
    # How long one look may take.
    timeout_s: float = 2.0
    # How long the last value counts while the gate cannot be asked; then mirroring is paused.
    keep_s: float = 300.0

    @property
    def by_default(self) -> bool:
        """Nobody asked for one."""
        return self.provider == Gate().provider


def _provider(value: object) -> GateProvider:
    written = parse.text(value)
    kind, _, where = written.partition(":")
    if written == "off":
        return GateProvider("off")
    if kind == "file" and where:
        return GateProvider("file", str(Path(where).absolute()))
    if kind == "ofrep":
        try:
            parts = urlsplit(where)
            known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
            known = known and not (parts.query or parts.fragment)  # would be dropped unseen
        except ValueError:
            known = False
        if known:
            return GateProvider("ofrep", where)
    if kind in {"flagd", "flagds"}:
        host, _, port = where.rpartition(":")
        if host and "@" not in host and _PORT.fullmatch(port) and 0 < int(port) <= 65535:
            return GateProvider(kind, where)
    raise ValueError(f"{written!r} is no gate; {_EXAMPLE}")


def _flag(value: object) -> str:
    name = parse.text(value)
    if not _FLAG.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a flag; use up to 128 of A-Z a-z 0-9 . _ / -")
    return name


_KEYS: Final[Mapping[str, Key]] = {
    "ca-file": Key("ca_file", parse.folder),
    "enabled": Key("enabled", _flag),
    "keep-s": Key("keep_s", parse.seconds),
    "poll-s": Key("poll_s", parse.seconds),
    "provider": Key("provider", _provider),
    "sample": Key("sample", _flag),
    "timeout-s": Key("timeout_s", parse.seconds),
}
GATE: Final = Section("gate", Gate, _KEYS)
