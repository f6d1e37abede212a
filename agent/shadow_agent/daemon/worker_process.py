"""How a worker's process begins: what it may touch is settled before it sees a byte of the wire."""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from typing import Final, NoReturn

import uvloop

from shadow_agent.daemon.claims import ClaimPage
from shadow_agent.daemon.kept import kept_fds
from shadow_agent.daemon.process import (
    bound_memory,
    close_all_but,
    die_with_parent,
    drop_privileges,
    end_if_out_of_memory,
    ignore_terminal_signals,
    name_process,
    on_loop_exception,
)
from shadow_agent.daemon.seccomp import Profile
from shadow_agent.daemon.settings import WorkerSettings
from shadow_agent.daemon.uplink import complain
from shadow_agent.daemon.worker import Worker
from shadow_agent.kernel.control import ControlPage
from shadow_agent.kernel.ring import RingReader

# Where processors are short, production goes first and we lose packets by name.
_NICE: Final = 10


def run_worker(
    settings: WorkerSettings, ring_fd: int, control_fd: int, channel: socket.socket,
    claims: ClaimPage, parent: int,
) -> NoReturn:  # fmt: skip
    """Body of a forked worker; never returns to the supervisor's frames."""
    code = 1
    try:
        ignore_terminal_signals()
        name_process(f"shadow-worker{settings.shard}")
        os.nice(_NICE)
        bound_memory(settings.data_limit)
        ring = RingReader(ring_fd, settings.ring_bytes)
        control = ControlPage(control_fd, writable=False)
        shared = set() if settings.budget is None else {settings.budget.fd}
        shared |= kept_fds(settings)
        close_all_but({ring_fd, channel.fileno(), *shared})
        drop_privileges(settings.user)
        die_with_parent(parent)
        # before the loop is made: where it may, libuv gets an io_uring, which no filter sees into
        settings.sandbox.load(Profile.WORKER)
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(on_loop_exception)
        Worker(settings, ring, ring_fd, control, claims, loop).run(channel)
        code = 0
    except BaseException as exc:  # noqa: BLE001 - the process ends here, and must say why
        end_if_out_of_memory(exc)
        complain(f"worker {settings.shard} cannot go on: {type(exc).__name__}: {exc}")
        if settings.debug:
            traceback.print_exception(exc)
    finally:
        os._exit(code)
