"""The ways a ``pyserver`` can behave, and its command line."""

from __future__ import annotations

import argparse
from enum import StrEnum
from pathlib import Path


class Mode(StrEnum):
    """How the server behaves, once a request is complete unless said otherwise."""

    OK = "ok"
    SLOW = "slow"  # answers after --ms
    HANG = "hang"  # reads and never answers
    HANG_SHARE = "hang-share"  # hangs on every --every-th request, the first ones are answered
    FLAP = "flap"  # hangs for --ms, answers for --ms, and so on
    DEAF = "deaf"  # accepts and never reads
    RESET = "reset"  # RST instead of an answer
    RESET_ON_CONNECT = "reset-on-connect"  # RST as soon as connected
    CLOSE = "close"  # FIN instead of an answer
    CLOSE_EACH = "close-each"  # answers with Connection: close, and closes
    CLOSE_SILENT = "close-silent"  # answers as if to stay, and closes
    GARBAGE = "garbage"  # 4 KiB of random bytes instead of HTTP
    ENDLESS = "endless"  # a body without end, up to --max-bytes
    ENDLESS_HEAD = "endless-head"  # a header field without end, up to --max-bytes
    SLOW_DRIP = "slow-drip"  # a good answer, one byte each --ms
    DRIP_FOREVER = "drip-forever"  # a head, and a body of one byte each --ms without end
    SIP = "sip"  # reads one byte each --ms, and never answers
    SERIAL = "serial"  # one request at a time, each takes --ms, in the order they came
    BUSY = "busy"  # as serial; 503 with Retry-After while more than --every wait
    TOO_SHORT = "too-short"  # declares more body than it sends, then FIN
    TOO_LONG = "too-long"  # sends more body than it declares


class Options(argparse.Namespace):
    """Parsed command line."""

    port: int
    mode: Mode
    ms: float
    every: int
    max_bytes: int
    max_seconds: float
    log: Path | None
    answer: list[str]
