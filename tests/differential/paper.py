"""A TCP client on paper: every packet built by hand, against a real socket of the kernel.

What is written to a TUN device has passed the kernel's TCP when the write returns, so a case reads
as a transcript: send this, then look at what the server has.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address

from shadow_agent.flow.segment import ACK, FIN, PSH, RST, SYN, URG, Segment, flow_key
from shadow_agent.selftest.packets import Packet, build, parse
from shadow_agent.selftest.peers import answer
from shadow_agent.selftest.place import Place
from shadow_agent.selftest.reference import Message, Reader

PORT = 8080
SERVER_V4, SERVER_V6 = IPv4Interface("192.0.2.2/24"), IPv6Interface("2001:db8::2/64")
CLIENT_V4, CLIENT_V6 = "192.0.2.1", "2001:db8::1"
FIRST_CLIENT_PORT = 20000
MASK = 0xFFFF_FFFF
MSS = b"\x02\x04\x05\xb4"  # option: 1460
WINDOW_SCALE = b"\x01\x03\x03\x07"  # option: 7, with a NOP before it
TFO_ASKED = b"\x01\x01\x22\x02"  # option 34, empty: a cookie, please
LINGER_RESET = b"\1\0\0\0\0\0\0\0"

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "URG", "Bed", "Talk"]


class Bed:
    """A place with a listening server; talks are told apart by their client's port."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.talks: dict[int, Talk] = {}
        self._listeners = {
            family: self._listen(family, address)
            for family, address in ((socket.AF_INET, place.v4), (socket.AF_INET6, place.v6))
        }
        self._accepted: dict[int, socket.socket] = {}

    def close(self) -> None:
        """Every socket."""
        for talk in self.talks.values():
            talk.drop()
        for sock in (*self._listeners.values(), *self._accepted.values()):
            sock.close()

    def _listen(self, family: int, address: str) -> socket.socket:
        made = self.place.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        made.bind((address, PORT))
        made.listen(64)
        return made

    def accepted(self, port: int) -> socket.socket | None:
        """The server's end of the connection from that client port, once it is there."""
        for listener in self._listeners.values():
            with contextlib.suppress(BlockingIOError):
                while True:
                    made, address = listener.accept()
                    made.setblocking(False)
                    self._accepted[address[1]] = made
        return self._accepted.pop(port, None)

    def pump(self) -> None:
        """Takes what the kernel has sent; each packet to its talk."""
        while True:
            try:
                raw = os.read(self.place.tun, 65536)
            except BlockingIOError:
                return
            packet = parse(raw)
            if packet is not None and packet.dport in self.talks:
                self.talks[packet.dport].take(packet)

    def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Pump until it holds. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            self.pump()
            if condition():
                return
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.place.tun], [], [], left)[0]:
                raise TimeoutError("the kernel did not send what was waited for")


class Talk:
    """One connection (or several of the same port, one after the other).

    ``sent`` is the highest sequence number sent, ``got`` what has come back in order.
    """

    def __init__(self, bed: Bed, port: int, *, ipv6: bool = False, isn: int = 1000) -> None:
        self.bed = bed
        self.port = port
        self.ipv6 = ipv6
        mine, other = (CLIENT_V6, bed.place.v6) if ipv6 else (CLIENT_V4, bed.place.v4)
        self.key = flow_key(mine, port, other, PORT)
        self._ends = (ip_address(mine).packed, ip_address(other).packed)
        bed.talks[port] = self
        self.arrived: list[Packet] = []  # every packet of the kernel
        self.requests: list[Message] = []  # as the server understood them
        self.responses: list[Message] = []  # as the client did
        self.read = b""  # what the server's socket gave it
        self.inline = False  # SO_OOBINLINE
        self.mute = False  # the server reads, but does not answer
        self.scripted = False  # the same, and neither end looks at what it reads
        self.window = 65535
        self.eof = False  # the server read the end
        self.reset = False  # the server's socket was reset
        self.server: socket.socket | None = None
        self.hide: Callable[[Segment], bool] = lambda _: False
        self._start(isn)

    def _start(self, isn: int) -> None:
        self.isn = isn & MASK
        self.next = 0  # where the next byte goes, counted from the first of the request stream
        self.peer = 0  # the next sequence number expected from the kernel
        self.peer_ended = False
        self._server_reader = Reader()
        self._client_reader = Reader(responses=True)
        self._established = False

    def send(
        self, payload: bytes = b"", *, at: int | None = None, flags: int = ACK | PSH,
        urgent: int = 0, ack: int | None = None,
    ) -> None:  # fmt: skip
        """One packet; ``at`` counts from the first byte of the request stream."""
        at = self.next if at is None else at
        self.next = max(self.next, at + len(payload) + bool(flags & FIN))
        self._write(
            seq=self.isn + 1 + at, flags=flags, urgent=urgent, payload=payload,
            ack=self.peer if ack is None else ack,
        )  # fmt: skip

    def _write(
        self, *, seq: int, flags: int, ack: int = 0, urgent: int = 0, options: bytes = b"",
        payload: bytes = b"",
    ) -> None:  # fmt: skip
        ports = (self.port, PORT, seq & MASK, ack & MASK)
        packet = Packet(*self._ends, *ports, flags, self.window, urgent, options, payload)
        os.write(self.bed.place.tun, build(packet))
        self.bed.pump()

    def syn(self, payload: bytes = b"", options: bytes = MSS) -> None:
        """The first packet of a handshake."""
        self._write(seq=self.isn, flags=SYN, options=options, payload=payload)

    def open(self) -> None:
        """The whole handshake, and the server has accepted."""
        self.syn()
        self.bed.until(lambda: self._established)
        self.send(flags=ACK)
        self.accept()

    def accept(self) -> None:
        """The server takes the connection."""
        self.server = self.bed.accepted(self.port)
        assert self.server is not None, "not accepted"
        # whole answers fit, so that sending never has to wait
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if self.inline:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)

    def take(self, packet: Packet) -> None:
        """A packet of the kernel: acknowledged when it brings something new."""
        self.arrived.append(packet)
        if packet.flags & RST:
            return
        if packet.flags & SYN:
            self.peer = (packet.seq + 1) & MASK
            self._established = True
            return
        old = (self.peer - packet.seq) & MASK
        new = packet.payload[old:] if old < len(packet.payload) else b""
        if old == 0 and packet.flags & FIN and not packet.payload:
            self.peer_ended = True
        elif new or (packet.flags & FIN and old == len(packet.payload)):
            self.peer_ended = bool(packet.flags & FIN)
        else:
            return
        self.peer = (self.peer + len(new) + self.peer_ended) & MASK
        if self.scripted:
            return
        for response in self._client_reader.feed(new):
            self.responses.append(response)
        if self.peer_ended and (last := self._client_reader.eof()):
            self.responses.append(last)

    def ack(self) -> None:
        """A pure acknowledgement of all that has come."""
        self.send(flags=ACK)

    def say(self, data: bytes, *, end: bool = False) -> None:
        """The server sends, and (``end``) closes; the client takes it and acknowledges."""
        self.serve()  # a socket that closes with something unread sends a RST
        assert self.server is not None
        self.server.sendall(data)
        if end:
            self.server.close()
            self.server = None
        self.bed.pump()
        self.ack()

    def serve(self) -> None:
        """The server reads what its socket has and answers what is whole; the client acks."""
        assert self.server is not None
        try:
            while not self.eof:
                data = self.server.recv(65536)
                self.read += data
                self.eof = not data
                if self.scripted:
                    continue
                with contextlib.suppress(ValueError, IndexError):
                    for request in self._server_reader.feed(data):
                        self.requests.append(request)
                        self._client_reader.methods.append(request.method)
                        if not self.mute:
                            self.server.sendall(answer(request))
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.reset = True
        before = None
        while self.peer != before:  # each acknowledgement lets more of the answer out
            before = self.peer
            self.bed.pump()
            if self.peer != before:
                self.ack()

    def finish(self) -> None:
        """The client closes, then the server does."""
        self.send(flags=ACK | FIN)
        self.serve()
        self.leave()

    def leave(self) -> None:
        """The server closes; the client acknowledges."""
        assert self.server is not None
        self.server.close()
        self.server = None
        self.bed.pump()
        self.ack()

    def abort(self) -> None:
        """The server closes with a RST."""
        assert self.server is not None
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.server.close()
        self.server = None
        self.bed.pump()

    def again(self, isn: int) -> None:
        """The same ports once more."""
        self.drop()
        self._start(isn)
        self.eof = self.reset = False

    def drop(self) -> None:
        """The server's socket, if a case left it open."""
        if self.server is not None:
            self.server.close()
            self.server = None
