"""``--observe-egress``: production's own outgoing calls, read in a process of its own.

A packet socket on the interface by which production calls out; the kernel's filter lets only TCP
to the ports named through. Nothing is held up: what finds no room is counted as dropped.
"""

from __future__ import annotations

import pwd
import select
import socket
import time
from functools import partial
from ipaddress import IPv6Address
from typing import Any, Final

import orjson

from shadow_agent.calls.call import Call
from shadow_agent.calls.effects import Effects
from shadow_agent.calls.outgoing import Outgoing
from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.decoder import Decoder, DecoderLimits
from shadow_agent.capture.frame import Frame
from shadow_agent.config.egress import Egress
from shadow_agent.daemon.apart import Child, pieces_of, send_long
from shadow_agent.daemon.seccomp import NO_SANDBOX, Sandbox
from shadow_agent.errors import HostError
from shadow_agent.kernel.egress import LARGEST, dropped, open_socket

_LINKTYPE_RAW: Final = 101
_EXPIRE_S: Final = 1.0
_FINISH_S: Final = 10.0


class EgressWatch:
    """Started before anything is attached; ``finish`` once."""

    def __init__(
        self, egress: Egress, key: bytes, shadow: tuple[bytes, int], user: pwd.struct_passwd,
        sandbox: Sandbox = NO_SANDBOX,
    ) -> None:  # fmt: skip
        """``shadow``: 16-byte address and port of our own replay connections. Raises HostError."""
        try:
            packets = open_socket(egress.interface, egress.ports)
        except OSError as error:
            raise HostError(
                f"--observe-egress {egress}: {error.strerror}", "`ip link` lists the interfaces"
            ) from error
        run = partial(_run, packets=packets, ports=frozenset(egress.ports), key=key, shadow=shadow)
        self._child = Child("shadow-egress", user, {packets.fileno()}, run, sandbox)
        packets.close()

    def finish(self) -> tuple[Effects | None, dict[str, Any]]:
        """Production's calls, None when its process died; and what was not read, by name."""
        self._child.say(b"finish")
        self._child.wait(_FINISH_S)
        message = pieces_of(iter(self._child.heard, b""))
        self.close()
        if message is None:
            return None, {}
        said = orjson.loads(message)
        return Effects.load(said["effects"]), said["losses"]

    def close(self) -> None:
        """End its process."""
        self._child.close()


class Observer:
    """Packets in, calls counted; in the child."""

    def __init__(self, ports: frozenset[int], key: bytes, shadow: tuple[bytes, int]) -> None:
        self._shadow = shadow
        self._decoder = Decoder(ports, DecoderLimits(), PacketCounts())
        self._outgoing = Outgoing(key, self._tell)
        self.effects = Effects()
        self.dropped = 0

    def packet(self, data: bytes, now: int) -> None:
        """One IP packet, at ``now`` ns."""
        for segment in self._decoder.decode(Frame(now, _LINKTYPE_RAW, data, len(data))):
            self._outgoing.push(segment)

    def expire(self, now: int) -> None:
        """As Outgoing's."""
        self._outgoing.expire(now)

    def _tell(self, call: Call, address: bytes, port: int) -> None:
        if (address, port) == self._shadow:
            return  # our own replay
        where = IPv6Address(address)
        self.effects.add(
            {
                "event": "call",
                **call.as_dict(),
                "address": str(where.ipv4_mapped or where),
                "port": port,
            }
        )

    def summed_up(self) -> bytes:
        """For ``finish``."""
        self._outgoing.end()
        losses: dict[str, object] = {
            **self._outgoing.losses.as_dict(),
            "dropped": self.dropped,
            "unsupported": sum(self._decoder.counts.unsupported.values()),
        }
        return orjson.dumps({"effects": self.effects.dump(), "losses": losses})


def _run(
    channel: socket.socket,
    packets: socket.socket,
    ports: frozenset[int],
    key: bytes,
    shadow: tuple[bytes, int],
) -> None:
    observer = Observer(ports, key, shadow)
    buffer = bytearray(LARGEST)
    next_expire = 0.0
    while True:
        ready, _, _ = select.select([packets, channel], [], [], _EXPIRE_S)
        now = time.monotonic()
        if packets in ready:
            size = packets.recv_into(buffer)
            observer.packet(bytes(buffer[:size]), time.monotonic_ns())
        elif channel in ready:
            # Everything that was sent before we were asked has been read. The question is taken
            # off: who ends with one unread resets the channel, and the answer is lost.
            channel.recv(64)
            break
        if now >= next_expire:
            next_expire = now + _EXPIRE_S
            observer.expire(time.monotonic_ns())
    observer.dropped += dropped(packets)
    send_long(channel, observer.summed_up())
