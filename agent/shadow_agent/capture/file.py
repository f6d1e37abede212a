"""open_capture: which kind of capture file this is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from shadow_agent.capture import pcap, pcapng
from shadow_agent.capture.frame import Frame
from shadow_agent.capture.source import Source

__all__ = ["CaptureFile", "NotACapture", "open_capture"]


class NotACapture(ValueError):
    """The bytes are no capture file that we read; the message says so in one line."""


class CaptureFile(Protocol):
    """An iterator of frames, in the file's order, once."""

    # After the iteration: what broke and at which byte, in one line; None when nothing did.
    damage: str | None

    def __iter__(self) -> Iterator[Frame]:
        """Every frame before the damage."""
        ...


def open_capture(stream: BinaryIO) -> CaptureFile:
    """The capture that ``stream`` holds: pcap or pcapng, plain or gzipped, a file or a pipe.

    Raises:
        NotACapture: it is none, or ends within its first header.
    """
    source = Source(stream)
    head = source.fill(b"", 0, pcap.HEADER)
    if len(head) >= pcap.HEADER:
        if pcap.recognise(head) is not None:
            return pcap.PcapFile(source, head)
        if pcapng.recognise(head):
            return pcapng.PcapngFile(source, head)
    if source.damage:
        raise NotACapture(source.damage)
    if not head:
        raise NotACapture("the file is empty")
    if pcap.could_begin(head) or pcapng.recognise(head):
        raise NotACapture("the file ends within its first header")
    raise NotACapture("neither pcap nor pcapng (fix: tcpdump -w, or editcap to convert)")
