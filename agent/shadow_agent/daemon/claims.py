"""One shared page per shard: how far its worker got, readable after the worker is dead."""

from __future__ import annotations

import mmap
import struct
from typing import Final, NamedTuple

_CLAIM: Final = struct.Struct("=Q")
_DONE: Final = struct.Struct("=QQQ")
_DONE_AT: Final = _CLAIM.size


class Progress(NamedTuple):
    """What a worker had done when it was last heard of."""

    claimed: int  # ring position up to which it was about to read
    position: int  # ring position behind the last batch it had handled
    read: int  # packets it had handled, since it started
    started: int  # requests whose first byte it had seen, since it started


class ClaimPage:
    """Written by the worker around each batch, read by the supervisor after its death."""

    def __init__(self) -> None:
        """A page of zeros that children share."""
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def claim(self, position: int) -> None:
        """Everything up to this ring position will be read now, whatever becomes of us."""
        _CLAIM.pack_into(self._page, 0, position)

    def done(self, position: int, read: int, started: int) -> None:
        """A batch up to ``position`` has been handled; totals since the worker started.

        Said before the ring learns of it: killed in between, nothing is counted twice.
        """
        _DONE.pack_into(self._page, _DONE_AT, position, read, started)

    def progress(self) -> Progress:
        """The last values written."""
        return Progress(
            *_CLAIM.unpack_from(self._page, 0), *_DONE.unpack_from(self._page, _DONE_AT)
        )

    def reset(self) -> None:
        """For the next worker of this shard; positions stay."""
        self.done(self.progress().position, 0, 0)
