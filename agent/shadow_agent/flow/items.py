"""Data, Gap, Skip and End: what a flow's two byte streams are made of, in order."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias


class EndKind(Enum):
    """How a stream ended."""

    FIN = "fin"  # the sender closed its side; every byte before it was delivered or is a Gap
    RST = "rst"  # either side reset the connection
    EVICTED = "evicted"  # the flow left the table: idle, over a limit, replaced by a new SYN


class Data(NamedTuple):
    """Bytes that follow what came before them on this direction. Never empty."""

    direction: int
    payload: bytes
    ts: int  # ns, of the segment that carried these bytes
    seq: int  # sequence number of the first byte
    ack: int  # what the sender had received of the other direction when it sent them


class Gap(NamedTuple):
    """Bytes that existed on the wire and will never be seen."""

    direction: int
    length: int  # bytes, at least 1
    ts: int  # ns, of the segment or the call of expire that proved the loss
    # False for an urgent byte: whether it is part of the stream cannot be known from outside
    certain: bool = True


class Skip(NamedTuple):
    """Bytes were left out on purpose, whole messages as a rule; what follows starts afresh."""

    direction: int
    ts: int  # ns, of the segment that goes on
    sure: bool  # what follows begins a request, and no response to another is under way


class End(NamedTuple):
    """Nothing follows on this direction."""

    direction: int
    kind: EndKind
    ts: int  # ns
    by: int  # the direction whose sender caused it (who sent the RST)


Item: TypeAlias = Data | Gap | Skip | End
