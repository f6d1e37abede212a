"""What the client sends and the server answers is HTTP that the reference reads."""

from __future__ import annotations

import asyncio
import socket

import pytest

from shadow_agent.selftest.peers import (
    CHUNKED,
    CLOSE,
    EMPTY,
    LENGTH,
    Ask,
    Server,
    Truth,
    answer,
    answer_body,
    converse,
)
from shadow_agent.selftest.reference import Reader


@pytest.mark.parametrize(
    "ask",
    [
        Ask("GET", "/length/0/a"),
        Ask("POST", "/length/0/a", b"body"),
        Ask("POST", "/length/0/a", bytes(2500), chunked=True),
        Ask("PUT", "/length/0/a", b"body", expect=True),
    ],
)
def test_requests_read_back(ask: Ask) -> None:
    """Method, target and body."""
    (message,) = Reader().feed(ask.head() + ask.payload())
    assert (message.method, message.target, message.body) == (ask.method, ask.target, ask.body)


@pytest.mark.parametrize("style", [LENGTH, CHUNKED, CLOSE, EMPTY])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_read_back(style: str, method: str) -> None:
    """Each style frames the same body; HEAD and 204 have none."""
    ask = Ask(method, f"/{style}/2500/a")
    (request,) = Reader().feed(ask.head())
    reader = Reader(responses=True)
    reader.methods.append(method)
    found = list(reader.feed(answer(request)))
    last = reader.eof()
    (response,) = [*found, last] if last else found
    none = method == "HEAD" or style == EMPTY
    assert response.body == (b"" if none else answer_body(ask.target))


def test_no_two_bodies_are_alike() -> None:
    """Or one exchange could stand for another."""
    assert answer_body("/length/50/a") != answer_body("/length/50/b")
    assert answer_body("/length/50/a") == answer_body("/length/50/a")


@pytest.mark.parametrize("pipelined", [False, True])
def test_both_log_the_same_conversation(pipelined: bool) -> None:
    """Over loopback: every exchange is whole on both sides."""
    asks = [
        Ask("GET", "/length/100/a"), Ask("POST", "/chunked/3000/b", bytes(5000), chunked=True),
        Ask("HEAD", "/length/9/c"), Ask("GET", "/empty/0/d"),
        Ask("PUT", "/length/1/e", b"x" * 3000, expect=not pipelined), Ask("GET", "/close/10/f"),
    ]  # fmt: skip
    truth: Truth = {}

    async def talk() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            task = asyncio.create_task(Server(listener, truth).serve())
            channel = socket.socket()
            channel.setblocking(False)
            await converse(channel, listener.getsockname(), asks, truth, pipelined=pipelined)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(talk())
    assert list(truth) == [ask.target for ask in asks]
    assert [known.request_len for known in truth.values()] == [len(ask.body) for ask in asks]
    assert [known.status for known in truth.values()] == [200, 203, 200, 204, 200, 200]
    assert [known.response_len for known in truth.values()] == [100, 3000, 0, 0, 1, 10]
