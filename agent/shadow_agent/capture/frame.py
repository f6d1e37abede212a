"""Frame: one packet as a capture file holds it."""

from __future__ import annotations

from typing import Final, NamedTuple

# bytes. No device hands over more at once (BIG TCP ends at 512 KiB; tcpdump captures 256 KiB by
# default); a record that claims more is damage.
MAX_FRAME: Final = 16 << 20
# The link type of a frame whose file names none.
NO_LINK: Final = -1


class Frame(NamedTuple):
    """One captured packet, from its link layer on."""

    ts: int  # capture time, ns since the epoch
    link: int  # LINKTYPE number, see tcpdump.org/linktypes.html
    data: bytes  # what was captured
    length: int  # bytes on the wire; more than len(data) means that the capture cut it
