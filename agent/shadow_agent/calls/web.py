"""The caller's side of HTTP/1: requests, their bodies hashed while they stream."""

from __future__ import annotations

from typing import Final

import httptools

from shadow_agent.calls.call import Body, Call, Protocol, clean

# Request line and headers; nginx and Apache stop at 8 to 64 KiB. Over it: no HTTP for us.
_MAX_HEAD: Final = 64 << 10


class WebReader:
    """httptools cuts the messages; ``malformed`` once it refused the bytes.

    ``expects``: a head with ``Expect: 100-continue`` came, and its sender may wait.
    """

    __slots__ = (
        "_body", "_done", "_head", "_host", "_in_message", "_key", "_method", "_parser", "_rest",
        "_url", "expects", "keep_alive", "malformed",
    )  # fmt: skip

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._parser = httptools.HttpRequestParser(self)
        self._done: list[Call] = []
        self._head = 0  # bytes of the head so far; -1: it is complete
        self._rest = 0  # bytes since the last request, or that were no request
        self._in_message = False
        self.malformed = False
        self.keep_alive = True
        self.expects = False
        self._start()

    def _start(self) -> None:
        self._url = self._host = b""
        self._method = ""
        self._body = Body(self._key)

    def feed(self, data: bytes) -> list[Call]:
        """The requests that these bytes complete."""
        self._rest += len(data)
        if self.malformed:
            return []
        if self._head >= 0:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.keep_alive = False
        except httptools.HttpParserError:
            self.malformed, self.keep_alive = True, False
        if self._head > _MAX_HEAD:
            self.malformed, self.keep_alive = True, False
        done, self._done = self._done, []
        return done

    def end(self) -> list[Call]:
        """The request that was cut off, if one was."""
        if not self._in_message:
            if not self._rest:
                return []
            return [Call(Protocol.OTHER, size=self._rest, complete=False)]
        self._in_message = False
        return [self._call(complete=False)]

    def _call(self, *, complete: bool) -> Call:
        path, question, _ = self._url.partition(b"?")
        host = self._host.partition(b":")[0] if not self._host.startswith(b"[") else self._host
        if b"://" in path:  # absolute form: its authority goes before Host (RFC 9112 3.2.2)
            host, slash, rest = path.partition(b"://")[2].partition(b"/")
            path = slash + rest
        return Call(
            Protocol.HTTP,
            method=clean(self._method.encode("latin-1", "replace")),
            host=clean(host).lower(),
            path=clean(path),
            query=bool(question),
            size=self._body.size,
            body_hash=self._body.digest() if complete else None,
            complete=complete,
        )

    # what httptools calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._start()
        self._in_message = True

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url = (self._url + url)[:_MAX_HEAD]

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        lower = name.lower()
        if lower == b"host":
            self._host = value
        elif lower == b"expect" and value.lower() == b"100-continue":
            self.expects = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._method = self._parser.get_method().decode("latin-1")
        self._head = -1

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.add(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message = self.expects = False
        self._rest = 0
        self._head = 0
        self.keep_alive = self._parser.should_keep_alive()
        self._done.append(self._call(complete=True))
