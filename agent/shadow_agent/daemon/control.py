"""The root-only control socket: a JSON object in one line, one line back."""

from __future__ import annotations

import os
import selectors
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from shadow_agent.errors import UsageError

_QUESTION_MAX: Final = 4096  # bytes; commands are some fifty
_CLIENTS_MAX: Final = 16  # beyond: closed unanswered
_DEADLINE_S: Final = 5.0  # from accept to a whole question; beyond: closed
_SEND_S: Final = 1.0  # a client that does not take its answer is dropped
_CREDENTIALS: Final = struct.Struct("=iII")  # pid, uid, gid: struct ucred

Answer = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Answer], None]


class _Client:
    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.buffer = b""
        self.since = now
        self.asked = False
        self.uid = self.pid = -1  # of who connected


class ControlServer:
    """Serves one target's socket from the supervisor's selector."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, handler: Handler) -> None:
        """Listening. ``handler`` gets each command and a function to answer it, now or later.

        Raises UsageError when the socket cannot be made.
        """
        self._path = path
        self._selector = selector
        self._handler = handler
        self._clients: dict[int, _Client] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # We hold the target's lock, so whatever is there was left by a dead agent.
            draft = path.with_name(f".{path.name}")
            draft.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._listener.bind(str(draft))
            finally:
                os.umask(before)
            self._listener.listen(_CLIENTS_MAX)
            draft.rename(path)  # who sees it can connect
        except OSError as exc:
            self._listener.close()
            raise UsageError(f"{path}: {exc.strerror}", "give another --runtime-dir") from exc
        self._listening = False
        self._listen(wanted=True)

    def tick(self, now: float) -> None:
        """Drop clients that connect and say nothing."""
        self._listen(wanted=True)
        for client in list(self._clients.values()):
            if not client.asked and client.since + _DEADLINE_S < now:
                self._drop(client)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._listen(wanted=False)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _listen(self, *, wanted: bool) -> None:
        if wanted and not self._listening:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif self._listening and not wanted:
            self._selector.unregister(self._listener)
        self._listening = wanted

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            # out of descriptors, most likely: not again before the next tick
            self._listen(wanted=False)
            return
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(credentials)
        if uid not in (0, os.geteuid()) or len(self._clients) >= _CLIENTS_MAX:
            sock.close()
            return
        sock.setblocking(False)
        client = _Client(sock, time.monotonic())
        client.uid, client.pid = uid, pid
        self._clients[sock.fileno()] = client
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        try:
            data = client.sock.recv(_QUESTION_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.buffer += data
        if not data or len(client.buffer) > _QUESTION_MAX:
            self._drop(client)
        elif b"\n" in client.buffer and not client.asked:
            client.asked = True
            self._ask(client, client.buffer.partition(b"\n")[0])

    def _ask(self, client: _Client, line: bytes) -> None:
        def answer(reply: dict[str, Any]) -> None:
            self._answer(client, reply)

        try:
            command = orjson.loads(line)
        except orjson.JSONDecodeError:
            command = None
        if isinstance(command, dict) and isinstance(command.get("command"), str):
            command["by"] = (client.uid, client.pid)  # the kernel's word, for the audit log
            self._handler(command, answer)
        else:
            answer({"ok": False, "error": 'not a command such as {"command": "status"}'})

    def _answer(self, client: _Client, reply: dict[str, Any]) -> None:
        try:
            client.sock.settimeout(_SEND_S)
            client.sock.sendall(orjson.dumps(reply) + b"\n")
        except OSError:
            pass  # it did not wait, or does not listen
        self._drop(client)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.sock.fileno(), None) is not None:
            self._selector.unregister(client.sock)
            client.sock.close()
