"""Source: turns a fuzzer's bytes into choices. Plain, so that a find replays without the fuzzer."""

from __future__ import annotations

from typing import Final

# What conversations are made of: an input names one by a byte, so that mutations stay meaningful.
PHRASES: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"POST /4 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /5 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"POST /6 HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 192.0.2.9 192.0.2.1 5 80\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc0\0\x02\x01\0\x05\0\x50",
    b"\x16\x03\x01\0\x05hello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
    b"abc",
    b"\r\n",
    b"0\r\n\r\n",
)


class Source:
    """Reads choices off the front; when the bytes are spent every choice is the first."""

    def __init__(self, data: bytes) -> None:
        """All of `data` is to be spent."""
        self._data = data
        self._at = 0

    @property
    def spent(self) -> bool:
        """Nothing is left to choose by."""
        return self._at >= len(self._data)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1; two bytes above 256."""
        size = 1 if limit <= 256 else 2
        taken = self._take(size)
        return int.from_bytes(taken, "big") % limit

    def flag(self) -> bool:
        """Yes or no."""
        return self.below(2) == 1

    def some(self) -> bytes:
        """A phrase, a part of one, or up to 255 bytes as they are."""
        kind = self.below(64)
        if kind < len(PHRASES):
            return PHRASES[kind]
        if kind < 2 * len(PHRASES):
            phrase = PHRASES[kind - len(PHRASES)]
            start = self.below(256) % len(phrase)
            return phrase[start : start + self.below(256)]
        return self._take(self.below(256))

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken
