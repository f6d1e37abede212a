"""Conversations between the two places over the relay, with the tap listening."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from random import Random
from typing import Final, Self

from shadow_agent.kernel.attach import Mechanism
from shadow_agent.kernel.program import Loader
from shadow_agent.selftest.listening import Listener
from shadow_agent.selftest.peers import CHUNKED, CLOSE, EMPTY, LENGTH, Ask, Server, Truth, converse
from shadow_agent.selftest.place import Place
from shadow_agent.selftest.relay import Plan, Relay

PORT: Final = 8080
# Each end's device, and the other end's addresses lie in its network (RFC 5737, RFC 3849).
_CLIENT: Final = ("client0", IPv4Interface("192.0.2.1/24"), IPv6Interface("2001:db8::1/64"))
_SERVER: Final = ("server0", IPv4Interface("192.0.2.2/24"), IPv6Interface("2001:db8::2/64"))
_BACKLOG: Final = 1024
_AT_ONCE: Final = 64
_READ_S: Final = 0.02
_GIVE_UP_S: Final = 60.0
_SIZES: Final = (0, 1, 20, 500, 1400, 4000, 20000)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one connection asks."""

    asks: list[Ask]
    pipelined: bool = False
    reset: bool = False
    ipv6: bool = False


@dataclass(slots=True)
class Outcome:
    """What became of a number of conversations."""

    truth: Truth = field(default_factory=dict)
    relayed: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)  # conversations that broke off, and why


class Bed:
    """Context manager: two places and a tap on the server's device."""

    def __init__(self, loader: Loader = Loader.AUTO, mechanism: Mechanism = Mechanism.AUTO) -> None:
        self._how = (loader, mechanism)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.client = stack.enter_context(Place(*_CLIENT))
            self.server = stack.enter_context(Place(*_SERVER))
            self.listener = stack.enter_context(Listener(self.server, (PORT,), *self._how))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def run(self, conversations: list[Conversation], plan: Plan, seed: int) -> Outcome:
        """Hold them, at most 64 at once, over a wire that follows the plan."""
        outcome = Outcome()
        relay = Relay(self.client, self.server, plan, seed)
        servers = [
            Server(self._listener_socket(family), outcome.truth)
            for family in (socket.AF_INET, socket.AF_INET6)
        ]
        tasks = [asyncio.create_task(server.serve()) for server in servers]
        tasks.append(asyncio.create_task(self._read_on()))
        turn = asyncio.Semaphore(_AT_ONCE)
        try:
            await asyncio.gather(*(self._hold(one, outcome, turn) for one in conversations))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            relay.close()
            for server in servers:
                server.close()
        self.listener.read()
        outcome.relayed = relay.counts
        return outcome

    def _listener_socket(self, family: int) -> socket.socket:
        made = self.server.socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((self.server.v6 if family == socket.AF_INET6 else self.server.v4, PORT))
        made.listen(_BACKLOG)
        return made

    async def _read_on(self) -> None:
        while True:
            self.listener.read()
            await asyncio.sleep(_READ_S)

    async def _hold(self, one: Conversation, outcome: Outcome, turn: asyncio.Semaphore) -> None:
        family = socket.AF_INET6 if one.ipv6 else socket.AF_INET
        address = (self.server.v6 if one.ipv6 else self.server.v4, PORT)
        async with turn:
            try:
                async with asyncio.timeout(_GIVE_UP_S):
                    await converse(
                        self.client.socket(family), address, one.asks, outcome.truth,
                        pipelined=one.pipelined, reset=one.reset,
                    )  # fmt: skip
            except (OSError, EOFError) as error:
                outcome.failed.append(f"{one.asks[0].target}: {type(error).__name__}: {error}")


def conversations(number: int, seed: int, name: str = "s") -> Iterator[Conversation]:
    """So many different ones, the same for the same seed."""
    random = Random(seed)  # noqa: S311 - has to be repeatable
    for connection in range(number):
        asks = [_ask(random, f"{name}{connection}.{n}") for n in range(random.randint(1, 8))]
        pipelined = random.random() < 0.2
        if random.random() < 0.2:
            asks.append(_ask(random, f"{name}{connection}.last", CLOSE))
        if pipelined:
            asks = [Ask(a.method, a.target, a.body, a.chunked) for a in asks]
        yield Conversation(asks, pipelined, random.random() < 0.1, random.random() < 0.3)


def _ask(random: Random, name: str, style: str = "") -> Ask:
    style = style or random.choice((LENGTH, LENGTH, LENGTH, CHUNKED, EMPTY))
    target = f"/{style}/{random.choice(_SIZES)}/{name}"
    method = random.choice(("GET", "GET", "HEAD", "POST", "PUT"))
    if method in ("GET", "HEAD"):
        return Ask(method, target)
    body = random.randbytes(random.choice(_SIZES))
    return Ask(method, target, body, random.random() < 0.3, bool(body) and random.random() < 0.2)
