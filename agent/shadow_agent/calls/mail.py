"""The caller's side of SMTP (RFC 5321): messages handed over, and what a server would reply."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from shadow_agent.calls.call import Body, Call, Protocol

_MAX_LINE: Final = 4096  # RFC 5321 has 512, RFC 4954 12,288 of AUTH; over it: cut
_END: Final = b"\r\n.\r\n"
_EXTENSIONS: Final = (
    b"250-stub\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 SMTPUTF8\r\n"
)
GREETING: Final = b"220 stub ESMTP\r\n"


class State(Enum):
    """What the next bytes are."""

    COMMAND = auto()
    # One more line of an AUTH dialogue, which is not looked at.
    SECRET = auto()
    # A message, up to a line with only a dot.
    MESSAGE = auto()


class MailReader:
    """``replies`` collects what a server that takes every message says; take it and clear it."""

    __slots__ = (
        "_buffer", "_key", "_message", "_recipients", "_secrets", "_state", "closed", "replies",
        "said",
    )  # fmt: skip

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._buffer = b""
        self._state = State.COMMAND
        self._message = Body(key)
        self._recipients = 0
        self._secrets = 0  # lines of AUTH still to come
        self.replies: list[bytes] = []
        self.closed = False  # QUIT was said
        self.said = 0  # messages handed over

    def feed(self, data: bytes) -> list[Call]:
        """The messages that these bytes complete."""
        calls: list[Call] = []
        self._buffer += data
        while self._buffer:
            if self._state is State.MESSAGE:
                call = self._read_message()
                if call is None:
                    break
                calls.append(call)
                continue
            line, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                self._buffer = self._buffer[:_MAX_LINE]
                break
            self._buffer = rest
            self._line(line[:_MAX_LINE].rstrip(b"\r"))
        return calls

    def end(self) -> list[Call]:
        """The message that was cut off, or the connection that handed over none."""
        cut = self._state is State.MESSAGE
        if self.said and not cut:
            return []
        return [
            Call(
                Protocol.SMTP, method="MAIL", size=self._message.size if cut else 0,
                recipients=self._recipients, complete=False,
            )
        ]  # fmt: skip

    def _read_message(self) -> Call | None:
        at = self._buffer.find(_END)
        if at < 0:
            keep = len(_END) - 1
            self._message.add(self._buffer[:-keep])
            self._buffer = self._buffer[-keep:]
            return None
        self._message.add(self._buffer[: at + 2])
        self._buffer = self._buffer[at + len(_END) :]
        self._state = State.COMMAND
        self.replies.append(b"250 2.0.0 taken by the stub, sent to nobody\r\n")
        self.said += 1
        # the line end that stands before the message, for an empty one, is not part of it
        call = Call(
            Protocol.SMTP, method="MAIL", size=self._message.size - 2,
            body_hash=self._message.digest(), recipients=self._recipients,
        )  # fmt: skip
        self._recipients = 0
        return call

    def _line(self, line: bytes) -> None:
        if self._state is State.SECRET:
            self._secrets -= 1
            if self._secrets:
                self.replies.append(b"334 UGFzc3dvcmQ6\r\n")
                return
            self._state = State.COMMAND
            self.replies.append(b"235 2.7.0 taken\r\n")
            return
        verb = line[:4].upper()
        if verb == b"AUTH":
            self._auth(line.upper().split())
        elif verb == b"DATA":
            self._state, self._message = State.MESSAGE, Body(self._key)
            # a message may be empty: its line end then is that of the command
            self._buffer = b"\r\n" + self._buffer
            self.replies.append(b"354 go on\r\n")
        else:
            self.replies.append(self._reply(verb))

    def _reply(self, verb: bytes) -> bytes:
        match verb:
            case b"EHLO" | b"LHLO":
                return _EXTENSIONS
            case b"RCPT":
                self._recipients += 1
                return b"250 2.1.5 noted\r\n"
            case b"MAIL" | b"RSET":
                self._recipients = 0
                return b"250 2.0.0 noted\r\n"
            case b"HELO" | b"NOOP":
                return b"250 stub\r\n"
            case b"VRFY":
                return b"252 2.1.5 try\r\n"
            case b"QUIT":
                self.closed = True
                return b"221 2.0.0 good bye\r\n"
            case b"STAR":
                return b"454 4.7.0 the stub has no TLS\r\n"
        return b"502 5.5.2 the stub does not know this\r\n"

    def _auth(self, words: list[bytes]) -> None:
        """What is said to log in is neither looked at nor kept."""
        mechanism = words[1] if len(words) > 1 else b""
        lines = {b"PLAIN": 1, b"LOGIN": 2}.get(mechanism)
        if lines is None:
            self.replies.append(b"504 5.5.4 PLAIN or LOGIN\r\n")
            return
        self._secrets = lines - (len(words) > 2)
        if not self._secrets:
            self.replies.append(b"235 2.7.0 taken\r\n")
            return
        self._state = State.SECRET
        first = mechanism == b"LOGIN" and self._secrets == lines
        self.replies.append(b"334 VXNlcm5hbWU6\r\n" if first else b"334 UGFzc3dvcmQ6\r\n")
