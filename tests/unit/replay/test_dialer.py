"""Dialer: what becomes of a handshake that is done and of which no transport can be made.

Caps and places are tested with the pool.
"""

from __future__ import annotations

import asyncio
import errno

import pytest

from shadow_agent.replay.limits import PoolLimits
from shadow_agent.telemetry.reasons import Failed
from tests.unit.replay.bed import Bed, request

GET = request()
LIMITS = PoolLimits()


def test_a_connected_socket_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own fault, by its name; nobody waits for it, and the next request tries again."""
    loop = asyncio.new_event_loop()
    make = loop.create_connection

    async def scenario() -> None:
        bed = Bed(loop)
        await bed.open(LIMITS, None)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(loop, "create_connection", failing)
                bed.submit(GET)
                await bed.until(lambda: not bed.pool.busy)
            assert bed.pool.counts.failed == {Failed.NO_SOCKET: 1}
            assert bed.pool.open_connections == 0
            assert loop.create_connection == make
            await bed.ask(GET)
        finally:
            await bed.close()

    async def failing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    loop.run_until_complete(scenario())
    loop.close()
